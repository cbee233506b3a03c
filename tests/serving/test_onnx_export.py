"""onnxruntime answers as the model does."""

import numpy as np
import pytest

from tfrec_fusion.serving import export, export_onnx
from tfrec_fusion.serving.signatures import SIGNATURES

pytest.importorskip("tf2onnx", reason='needs ".[onnx]"')
onnxruntime = pytest.importorskip("onnxruntime", reason='needs ".[onnx]"')


def _session(folder, signature):
    path = str(folder / f"{signature}.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def answer(inputs):
        # onnxruntime takes strings only as UTF-8.
        given = {
            name: np.where(value == b"\xff\xfe", "not UTF-8", value)
            if value.dtype == object and value.size
            else value
            for name, value in inputs.items()
        }
        outputs = dict(zip(names, session.run(names, given), strict=True))
        for name, value in outputs.items():
            if value.dtype == object:
                encoded = [item.encode() for item in value.reshape(-1)]
                outputs[name] = np.array(encoded, object).reshape(value.shape)
        return outputs

    return answer


def _check(golden, reference, version, folder):
    assert export_onnx(version, folder) == {}
    assert {path.stem for path in folder.iterdir()} == set(SIGNATURES)
    sessions = {name: _session(folder, name) for name in SIGNATURES}
    for signature, inputs in golden.two_tower_requests(reference):
        golden.check_two_tower(reference, signature, inputs, sessions[signature](inputs))


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["sum", "concat", "gate"])
def test_two_towers(golden, references, fusion, tmp_path):
    reference = references[fusion]
    version = export(reference.model, reference.events, tmp_path / "shop")
    _check(golden, reference, version, tmp_path / "onnx")


@pytest.mark.slow
def test_rankers(golden, ranker, tmp_path):
    for name in golden.RANKERS:
        model, events, version = ranker(name)
        folder = tmp_path / name
        left_out = export_onnx(version, folder)
        assert set(left_out) == {"classify", "regress"}
        assert "ParseExample" in left_out["classify"]
        sessions = {s: _session(folder, s) for s in ("serving_default", "score")}
        for signature, inputs, asked in golden.ranker_requests(model, events):
            if signature in sessions:
                outputs = sessions[signature](inputs)
                logits = golden.ranker_logits(model, events, asked)
                golden.check_ranker(logits, signature, outputs)
