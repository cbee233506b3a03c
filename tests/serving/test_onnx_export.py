"""onnxruntime answers as the model does."""

import numpy as np
import pytest

from tfrec_fusion.errors import InputError
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


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["sum", "concat", "gate"])
def test_what_is_written_answers_as_the_model(golden, references, fusion, tmp_path):
    reference = references[fusion]
    version = export(reference.model, reference.events, tmp_path / "shop")
    left_out = export_onnx(version, tmp_path / "onnx")
    written = {path.stem for path in (tmp_path / "onnx").iterdir()}
    assert written | set(left_out) == set(SIGNATURES)
    assert not written & set(left_out)
    assert "item_vector" in written
    sessions = {name: _session(tmp_path / "onnx", name) for name in written}
    for signature, inputs in golden.two_tower_requests(reference):
        if signature in written and len(next(iter(inputs.values()))):
            golden.check_two_tower(reference, signature, inputs, sessions[signature](inputs))


@pytest.mark.slow
def test_a_ranker_is_refused_with_the_reasons(ranker, tmp_path):
    with pytest.raises(InputError, match=r"no signature comes through.*ParseExample"):
        export_onnx(ranker("no times")[2], tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
