"""The exports of rankers with several heads, and of those without a probability."""

import json

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.export import export, export_litert, export_onnx
from tfrec_fusion.models import Ranker

HEADS = ("click", "buy", "spend", "stars", "device")


def _requests(golden, model, events, *names):
    for signature, inputs, asked in golden.ranker_requests(model, events):
        if signature in names:
            given = {name: tf.constant(values) for name, values in inputs.items()}
            yield signature, given, golden.ranker_batch(model, events, asked)


@pytest.mark.slow
def test_an_export_answers_each_head_as_the_model(ranker, golden):
    model, events, version = ranker("heads")
    signatures = tf.saved_model.load(str(version)).signatures
    for signature, inputs, batch in _requests(golden, model, events, "serving_default", "score"):
        found = signatures[signature](**inputs)
        assert set(found) == {"score", "probability", *HEADS}
        outputs = model(batch, by_head=True)
        expected = model.heads.answers(outputs)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, **golden.TOLERANCE)
        np.testing.assert_allclose(found["score"], outputs["click"], **golden.TOLERANCE)
        # A purchase is at most as probable as the click that it needs.
        assert (found["buy"].numpy() <= found["click"].numpy()).all()
        assert found["device"].shape[2] == 3
    card = json.loads((version / "model_card.json").read_text(encoding="utf-8"))
    outputs = card["signatures"]["score"]["outputs"]
    assert outputs["score"] == "float32 [B, N]: the logit of click"
    assert outputs["device"] == "float32 [B, N, 3]: the probabilities of its classes"
    assert outputs["spend"] == "float32 [B, N]: the expected amount"


@pytest.mark.acceptance
def test_other_runtimes_answer_each_head(ranker, tmp_path):
    """Both conversions compare their answers with the SavedModel's, output by output."""
    _, _, version = ranker("heads")
    onnx = pytest.importorskip("onnx")
    assert not {"score", "serving_default"} & set(export_onnx(version, tmp_path / "onnx"))
    graph = onnx.load(tmp_path / "onnx" / "score.onnx").graph
    assert {*HEADS, "score", "probability"} == {one.name for one in graph.output}
    path = export_litert(version, tmp_path / "litert")
    runner = tf.lite.Interpreter(str(path)).get_signature_runner()
    assert {*HEADS, "score", "probability"} == set(runner.get_output_details())


@pytest.mark.slow
def test_a_ranker_without_a_binary_head(golden, tmp_path):
    events = golden.ranker_events()
    options = {"heads": {"spend": "regression"}, "vectors": []}
    model = golden.random_ranker(events, options)
    version = export(model, events, tmp_path / "rank")
    signatures = tf.saved_model.load(str(version)).signatures
    assert set(signatures) == {"serving_default", "score", "regress"}
    for _, inputs, batch in _requests(golden, model, events, "score"):
        found = signatures["score"](**inputs)
        assert set(found) == {"score", "spend"}
        np.testing.assert_allclose(found["score"], model(batch), **golden.TOLERANCE)
        np.testing.assert_array_equal(found["spend"], found["score"])
    for _, inputs, batch in _requests(golden, model, events, "regress"):
        found = signatures["regress"](**inputs)["outputs"]
        np.testing.assert_allclose(found, model(batch)[:, 0], **golden.TOLERANCE)


@pytest.mark.slow
def test_an_export_ranks_by_a_weighted_sum(golden, tmp_path):
    events = golden.ranker_events()
    rank_by = {"click": 1.0, "device": 0.25}
    heads = {"click": "binary", "device": {"kind": "multi_class", "classes": 3}}
    model = golden.random_ranker(events, {"heads": heads, "rank_by": rank_by, "vectors": []})
    assert isinstance(model, Ranker)
    export(model, events, tmp_path / "rank", precision="int8")
    (version,) = (tmp_path / "rank").glob("[0-9]*")
    signatures = tf.saved_model.load(str(version)).signatures
    _, inputs, batch = next(iter(_requests(golden, model, events, "score")))
    found = signatures["score"](**inputs)
    device = found["device"].numpy() @ np.arange(3)
    np.testing.assert_allclose(found["score"], found["click"] + 0.25 * device, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["score"], model(batch), atol=0.05)
