"""An exported ensemble answers every signature of a ranker as the members together do."""

import json

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.export import export
from tfrec_fusion.pipelines import RankerEnsemble


def _ensemble(golden, events):
    """Members of other backbones, one of them without the features of the context."""
    options = golden.RANKERS["all"][1]
    members = {
        "crosses": golden.random_ranker(events, options),
        "deep": golden.random_ranker(events, options | {"backbone": "wide_deep", "user": "id"}),
        "plain": golden.random_ranker(events, {"vectors": [], "hidden": [4]}),
    }
    return RankerEnsemble(
        members, weights={"crosses": 0.5, "deep": 0.25, "plain": 0.5}, bias=-0.125
    )


@pytest.mark.slow
def test_an_export_answers_as_the_weighted_sum_of_the_members(golden, tmp_path):
    events = golden.ranker_events()
    ensemble = _ensemble(golden, events)
    version = export(ensemble, events, tmp_path / "rank")
    signatures = tf.saved_model.load(str(version)).signatures
    asked = golden.ranker_requests(ensemble, events)
    assert set(signatures) == {name for name, _, _ in asked}
    for name, inputs, model_inputs in asked:
        batch = golden.ranker_batch(ensemble, events, model_inputs)
        one, other, plain = (member(batch).numpy() for member in ensemble.members.values())
        given = {key: tf.constant(value) for key, value in inputs.items()}
        outputs = {key: value.numpy() for key, value in signatures[name](**given).items()}
        golden.check_ranker(0.5 * one + 0.25 * other + 0.5 * plain - 0.125, name, outputs)
    card = json.loads((version / "model_card.json").read_text(encoding="utf-8"))
    assert card["model"] == "RankerEnsemble"
    assert card["model_config"]["weights"] == {"crosses": 0.5, "deep": 0.25, "plain": 0.5}
    assert card["model_config"]["members"]["deep"]["config"]["backbone"] == "wide_deep"
    assert card["signatures"]["score"]["outputs"]["score"] == "float32 [B, N]: the logit"


@pytest.mark.acceptance
def test_an_int8_export_stays_near(golden, tmp_path):
    events = golden.ranker_events()
    ensemble = _ensemble(golden, events)
    version = export(ensemble, events, tmp_path / "rank", precision="int8")
    score = tf.saved_model.load(str(version)).signatures["score"]
    for name, inputs, asked in golden.ranker_requests(ensemble, events):
        if name == "score":
            found = score(**{key: tf.constant(value) for key, value in inputs.items()})["score"]
            expected = golden.ranker_logits(ensemble, events, asked)
            np.testing.assert_allclose(found, expected, atol=0.1)
