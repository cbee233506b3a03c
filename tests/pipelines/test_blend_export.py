"""An exported blend answers as the blend does, whatever runs it."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.deploy.warmup import signature_specs
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.export.signatures import CATALOGUE_SIGNATURES
from tfrec_fusion.features import State

LEFT_OUT = {"user_vector", "item_vector", "audience", "search", "search_text", "search_vector"}
NAMES = {one.name for one in CATALOGUE_SIGNATURES} - LEFT_OUT


@pytest.fixture(scope="module")
def golden_blend(golden, blended):
    version, reference = blended
    asked = golden.two_tower_requests(reference)
    return version, reference, [(name, i) for name, i in asked if name in NAMES - {"similar"}]


@pytest.mark.acceptance
def test_every_signature_answers_the_golden_requests(golden, golden_blend, tmp_path):
    version, reference, requests = golden_blend
    assert set(tf.saved_model.load(str(version)).signatures) == NAMES
    with open(tmp_path / "requests", "wb") as file:
        pickle.dump([(str(version), name, inputs) for name, inputs in requests], file)
    clean = Path(__file__).parents[1] / "fixtures" / "clean_process.py"
    command = [sys.executable, clean, tmp_path / "requests", tmp_path / "answers"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    answers = pickle.loads((tmp_path / "answers").read_bytes())
    for (name, inputs), outputs in zip(requests, answers, strict=True):
        golden.check_two_tower(reference, name, inputs, outputs)


@pytest.mark.slow
def test_rules_filters_and_exclusions_apply_to_the_blend(business, ruled_blend):
    version, reference = ruled_blend
    loaded = tf.saved_model.load(str(version)).signatures["recommend"]
    asked = business.golden_requests(reference, signature_specs(version)["recommend"][0])
    for inputs, requests, k in asked:
        outputs = loaded(**{name: tf.constant(value) for name, value in inputs.items()})
        assert outputs["item_id"].shape == outputs["score"].shape == (len(requests), k)
        for row, request in enumerate(requests):
            found = outputs["item_id"][row].numpy(), outputs["score"][row].numpy()
            business.check(reference, request, *found)


def test_shares_and_the_card(blended):
    version, reference = blended
    shares = tf.saved_model.load(str(version)).signatures["explain"]
    users, histories = ["ü 3", "nobody"], [["", ""], ["item4", "item9"]]
    items = [["item4", "no such item"], ["item14", reference.item_ids[reference.cold][0]]]
    found = shares(
        user_id=tf.constant(users),
        history=tf.constant(histories),
        history_age=tf.zeros([2, 0]),
        item_id=tf.constant(items),
    )
    names = {"two_tower", "ease", "recent", "cold"}
    assert {*found} == {"score", "bias", *(f"share_{name}" for name in names)}
    for row, user in enumerate(users):
        expected = reference.shares(user, histories[row])
        columns = [
            int(reference.events.catalogue.vocabulary.rows([item])[0]) for item in items[row]
        ]
        for name in names:
            wanted = expected[name][columns]
            np.testing.assert_allclose(found[f"share_{name}"][row], wanted, atol=1e-5)
    np.testing.assert_array_equal(found["bias"], np.zeros((2, 2)))
    card = json.loads((version / "model_card.json").read_text())
    assert card["model"] == "Blend"
    config = card["model_config"]
    assert config["members"]["ease"] == {
        "model": "EASE",
        "config": reference.model.members["ease"].config.model_dump(mode="json"),
    }
    assert (config["how"], config["cold"]) == ("rank", "two_tower")
    assert [*card["vectors"]] == ["two_tower.text"]


def test_a_recommender_answers_from_it(blended):
    version, reference = blended
    found = Recommender(version).recommend("ü 3", exclude=["item4"], k=5)
    (vector,), (seen,) = reference.users(["ü 3"], [[]])
    ids, scores = reference.best(vector, seen, ["item4"], 5)
    assert [item for item, _ in found] == ids
    np.testing.assert_allclose([score for _, score in found], scores, rtol=1e-5)


@pytest.mark.parametrize(
    ("how", "precision"),
    [
        pytest.param("zscore", "float32", marks=pytest.mark.slow),
        pytest.param("weighted", "float32", marks=pytest.mark.slow),
        pytest.param("rank", "int8", marks=pytest.mark.slow),
    ],
)
def test_other_forms_of_a_blend(make_shop_events, make_blend, how, precision, tmp_path):
    events = make_shop_events()
    model, limits = make_blend(events, how=how, cold="two_tower"), None
    if precision != "float32":
        from tfrec_fusion.export import ParityLimits

        limits = ParityLimits(overlap_10=0.5)
    version = export(
        model, events, tmp_path / "shop", deployment=False, precision=precision, limits=limits
    )
    ids, users = events.catalogue.vocabulary.ids, np.arange(len(events.users), dtype=np.int32)
    expected = model.scorer(State.of(events))(users)
    asked = {"user_id": events.users.ids, "item_id": np.tile(ids, (len(users), 1))}
    loaded = tf.saved_model.load(str(version)).signatures["score"]
    found = loaded(**{name: tf.constant(value) for name, value in asked.items()})["score"]
    np.testing.assert_allclose(found, expected, atol=1e-5 if precision == "float32" else 0.05)
