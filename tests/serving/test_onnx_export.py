"""onnxruntime answers as the model does."""

import numpy as np
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.serving import export, export_onnx, onnx_export
from tfrec_fusion.serving.signatures import SIGNATURES

pytest.importorskip("tf2onnx", reason='needs ".[onnx]"')
onnxruntime = pytest.importorskip("onnxruntime", reason='needs ".[onnx]"')

_EMPTY = {"tensor(string)": object, "tensor(bool)": bool}


class Sessions:
    """What onnxruntime answers, from a folder of signatures."""

    def __init__(self, folder):
        self._sessions = {
            path.stem: onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            for path in folder.iterdir()
        }

    def __iter__(self):
        return iter(self._sessions)

    def answer(self, signature, inputs):
        session = self._sessions[signature]
        # onnxruntime takes strings only as UTF-8.
        given = {
            name: np.where(value == b"\xff\xfe", "not UTF-8", value)
            if value.dtype == object and value.size
            else value
            for name, value in inputs.items()
        }
        batch = len(next(iter(inputs.values())))
        for spec in session.get_inputs():  # what the golden requests leave out changes nothing
            if spec.name not in given:
                given[spec.name] = np.zeros([batch, 0][: len(spec.shape)], _EMPTY[spec.type])
        names = [output.name for output in session.get_outputs()]
        outputs = dict(zip(names, session.run(names, given), strict=True))
        for name, value in outputs.items():
            if value.dtype == object:
                encoded = np.empty(value.size, object)
                encoded[:] = [item.encode() for item in value.flat]
                outputs[name] = encoded.reshape(value.shape)
        return outputs


def _check_two_tower(golden, reference, folder):
    sessions = Sessions(folder)
    assert set(sessions) == set(SIGNATURES)
    for signature, inputs in golden.two_tower_requests(reference):
        outputs = sessions.answer(signature, inputs)
        golden.check_two_tower(reference, signature, inputs, outputs)


def _check_ranker(golden, ranker, folder):
    model, events, _ = ranker
    sessions = Sessions(folder)
    assert set(sessions) == {"serving_default", "score"}
    for signature, inputs, asked in golden.ranker_requests(model, events):
        if signature in sessions:
            logits = golden.ranker_logits(model, events, asked)
            golden.check_ranker(logits, signature, sessions.answer(signature, inputs))


def test_a_two_tower_answers_all_golden_requests(exported, golden, reference, tmp_path):
    assert export_onnx(exported, tmp_path / "onnx") == {}
    _check_two_tower(golden, reference, tmp_path / "onnx")


def test_a_ranker_answers_all_golden_requests(golden, ranker, tmp_path):
    left_out = export_onnx(ranker("all")[2], tmp_path / "onnx")
    reason = "ONNX has no operation for ParseExampleV2"
    assert left_out == {"classify": reason, "regress": reason}
    _check_ranker(golden, ranker("all"), tmp_path / "onnx")


@pytest.mark.slow
def test_every_two_tower_does(golden, references, variant, tmp_path):
    reference = references[variant]
    version = export(reference.model, reference.events, tmp_path / "shop", kit=False)
    assert export_onnx(version, tmp_path / "onnx") == {}
    _check_two_tower(golden, reference, tmp_path / "onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["id only", "no times"])
def test_every_ranker_does(golden, ranker, name, tmp_path):
    export_onnx(ranker(name)[2], tmp_path / "onnx")
    _check_ranker(golden, ranker(name), tmp_path / "onnx")


def test_what_is_too_large_or_differs_is_refused_and_nothing_written(
    exported, monkeypatch, tmp_path
):
    monkeypatch.setattr(onnx_export, "_LARGEST", 0)
    with pytest.raises(InputError, match=r"no signature comes.*score.* GiB of variables, and an"):
        export_onnx(exported, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
