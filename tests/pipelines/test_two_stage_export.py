"""Exported two stages answer as the model does, whatever runs them."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from golden import RANKERS, random_ranker, ranker_events
from shop_exports import random_model
from two_stages import scores_apart

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import explain
from tfrec_fusion.export import ParityLimits, Recommender, export, export_onnx
from tfrec_fusion.features import Category, Features, State
from tfrec_fusion.models.classic import EASE
from tfrec_fusion.pipelines import TwoStage

CLEAN = Path(__file__).parents[1] / "fixtures" / "clean_process.py"
OPTIONS = {"candidates": 4, "retrieval_weight": 0.5}


class Feed:
    """Two stages over EASE, with a context, and a version with filters and rules.

    Attributes:
      retrieved, logits: what both parts say of all items, for the users from -1 on.
    """

    def __init__(self, folder):
        self.events = events = ranker_events()
        ranker = random_ranker(events, RANKERS["all"][1])
        self.model = TwoStage(EASE(l2=2.0).fit(events), ranker, **OPTIONS)
        self.ids = events.catalogue.vocabulary.ids
        rules = {
            "block": [{"item": self.ids[3]}],
            "boost": [{"item": self.ids[4], "factor": 3.0}],
        }
        options = {"filters": ["colour"], "rules": rules, "deployment": False}
        self.version = export(self.model, events, folder, **options)
        self.recommender = Recommender(self.version)
        state, users = State.of(events), np.arange(-1, 9, dtype=np.int32)
        self.retrieved = np.array(self.model.retrieval.scorer(state)(users), np.float64)
        self.logits = ranker.scorer(state)(users)

    def left(self, user):
        """`[N]` bool: the items that may be recommended to a user."""
        allowed = np.arange(len(self.ids)) != 3
        if user >= 0:
            allowed[self.events.histories().of(user)] = False
        return allowed

    def best(self, user, allowed):
        """The allowed items, best first, and their scores, with candidates among them."""
        retrieved = self.retrieved[user + 1]
        order = np.argsort(-np.where(allowed, retrieved, -np.inf), kind="stable")
        best = order[: OPTIONS["candidates"]]
        z = (retrieved[best] - retrieved[best].mean()) / (retrieved[best].std() or 1)
        own = self.logits[user + 1, best] + OPTIONS["retrieval_weight"] * z
        scores = own.min() - 1 - 10 * (retrieved.max() - retrieved) / (np.ptp(retrieved) or 1)
        scores[best] = own
        scores[4] += np.log(3.0)  # of the rules
        return _listed(self.ids, scores, allowed)


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    return Feed(tmp_path_factory.mktemp("feed") / "shop")


def _listed(ids, scores, allowed):
    order = np.argsort(-np.where(allowed, scores, -np.inf), kind="stable")[: allowed.sum()]
    return ids[order].tolist(), scores[order]


def _check(found, expected):
    assert [item for item, _ in found] == expected[0]
    np.testing.assert_allclose([score for _, score in found], expected[1], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("colour", [None, "rot"])
@pytest.mark.parametrize("user", [0, 7, -1])
def test_candidates_are_chosen_among_the_items_of_a_request(feed, user, colour):
    name = "nobody" if user < 0 else feed.events.users.ids[user]
    allowed, filters = feed.left(user), {}
    if colour is not None:
        allowed &= feed.events.catalogue.frame["colour"].to_numpy() == colour
        filters = {"colour": [colour]}
    found = feed.recommender.recommend(name, k=len(feed.ids), filters=filters)
    # A list is full: the other allowed items follow in the order of the retrieval model.
    assert len(found) > OPTIONS["candidates"]
    _check(found, feed.best(user, allowed))


@pytest.mark.slow
def test_exclusions_and_lists_to_choose_from(feed):
    include = feed.ids[[1, 2, 6, 8, 9, 12, 20, 31]].tolist()
    allowed = feed.left(0) & np.isin(feed.ids, include) & (feed.ids != feed.ids[9])
    options = {"include": include, "exclude": [feed.ids[9]], "k": len(feed.ids)}
    found = feed.recommender.recommend(feed.events.users.ids[0], **options)
    _check(found, feed.best(0, allowed))


@pytest.mark.slow
def test_a_requested_history_and_its_ages_reach_both_parts(feed):
    user, recommend = feed.events.users.ids[7], feed.recommender.recommend
    items, ages = State.of(feed.events).padded_histories(np.array([7]), 64)
    history, days = feed.ids[items[items >= 0]], ages[items >= 0]
    _check(recommend(user, history=history, history_ages=days, k=32), feed.best(7, feed.left(7)))
    later = recommend(user, history=history, history_ages=days + 300, k=32)
    assert abs(later[0][1] - feed.best(7, feed.left(7))[1][0]) > 1e-3


@pytest.mark.slow
def test_the_context_of_a_request_reaches_the_ranker(feed):
    found = [
        dict(feed.recommender.recommend(feed.events.users.ids[5], k=4, features={"hour": hour}))
        for hour in (0.0, 20.0)
    ]
    # Which the candidates are depends on the retrieval model alone.
    assert {*found[0]} == {*found[1]}
    assert all(abs(found[0][item] - found[1][item]) > 1e-4 for item in found[0])


@pytest.mark.slow
def test_the_score_of_each_stage(feed):
    users, n = feed.events.users.ids[:3], len(feed.ids)
    asked = {"user_id": users, "item_id": np.tile(np.append(feed.ids, "no such item"), (3, 1))}
    asked |= {"hour": np.full(3, np.nan), "channel": [""] * 3}
    loaded = tf.saved_model.load(str(feed.version)).signatures["score"]
    found = loaded(**{name: tf.constant(value) for name, value in asked.items()})
    scores = feed.model.scorer(State.of(feed.events))(np.arange(3, dtype=np.int32))
    np.testing.assert_allclose(found["score"][:, :n], scores, atol=1e-5)
    np.testing.assert_allclose(found["retrieval_score"][:, :n], feed.retrieved[1:4], atol=1e-5)
    np.testing.assert_array_equal(found["retrieval_score"][:, n], np.zeros(3))  # an unknown item


@pytest.mark.slow
def test_the_card_and_what_it_has_not(feed, tmp_path):
    card = json.loads((feed.version / "model_card.json").read_text())
    assert card["model"] == "TwoStage"
    assert card["model_config"]["members"]["ranker"]["model"] == "Ranker"
    assert card["model_config"]["candidates"] == 4
    assert {"user_vector", "item_vector"}.isdisjoint(card["signatures"])
    user, item = feed.events.users.ids[0], feed.ids[0]
    with pytest.raises(InputError, match="explain is for a TwoTower"):
        export(feed.model, feed.events, tmp_path / "shop", explain=True)
    with pytest.raises(InputError, match="explain: model must be a TwoTower"):
        explain(feed.model, feed.events, [user], [item])


@pytest.mark.acceptance
def test_a_lower_precision(feed, tmp_path):
    model, events = feed.model, feed.events
    limits = ParityLimits(overlap_10=0.5)
    version = export(
        model, events, tmp_path / "shop", deployment=False, precision="int8", limits=limits
    )
    users = np.arange(6, dtype=np.int32)
    ids = np.tile(events.catalogue.vocabulary.ids, (6, 1))
    loaded = tf.saved_model.load(str(version)).signatures["score"]
    names = loaded.structured_input_signature[1]
    asked = {"user_id": events.users.ids[:6], "item_id": ids}
    asked |= {"hour": np.full(6, np.nan), "channel": [""] * 6}
    asked = {name: tf.constant(value) for name, value in asked.items() if name in names}
    found, expected = loaded(**asked)["score"].numpy(), model.scorer(State.of(events))(users)
    # A candidate at the boundary may change; the others have nearly the same logits.
    assert np.mean(np.abs(found - expected) < 0.2) > 0.9


@pytest.mark.slow
def test_a_ranker_of_past_events_and_a_retrieval_by_gradient(tmp_path):
    """Only the ranker may read features of past events; a two-tower reads user ids."""
    events = ranker_events()
    ranker = random_ranker(events, {"features": Features(event=[Category(column="channel")])})
    model = TwoStage(random_model(events, user="both"), ranker, **OPTIONS)
    users = np.arange(-1, 5, dtype=np.int32)
    scores = model.scorer(State.of(events))(users)
    np.testing.assert_allclose(scores, scores_apart(model, State.of(events), users), atol=1e-5)
    version = export(model, events, tmp_path / "shop", deployment=False)
    allowed = np.ones(len(events.catalogue), bool)
    allowed[events.histories().of(0)] = False
    found = Recommender(version).recommend(events.users.ids[0], k=32)
    _check(found, _listed(events.catalogue.vocabulary.ids, scores[1], allowed))


@pytest.mark.acceptance
def test_a_process_without_the_package_and_onnx_answer_as_the_scorer(feed, tmp_path):
    model, events, version = feed.model, feed.events, feed.version
    users = np.arange(6, dtype=np.int32)
    expected = model.scorer(State.of(events))(users)
    asked = {
        "user_id": events.users.ids[:6].astype(object),
        "item_id": np.tile(events.catalogue.vocabulary.ids, (6, 1)).astype(object),
        "hour": np.full(6, np.nan),
        "channel": np.full(6, "", object),
    }
    with open(tmp_path / "requests", "wb") as file:
        pickle.dump([(str(version), "score", asked)], file)
    command = [sys.executable, CLEAN, tmp_path / "requests", tmp_path / "answers"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    (answer,) = pickle.loads((tmp_path / "answers").read_bytes())
    np.testing.assert_allclose(answer["score"], expected, atol=1e-5)
    runtime = pytest.importorskip("onnxruntime", reason='needs ".[onnx]"')
    assert export_onnx(version, tmp_path / "onnx") == {}
    session = runtime.InferenceSession(tmp_path / "onnx" / "score.onnx")
    for spec in session.get_inputs():
        asked.setdefault(spec.name, np.zeros([6, 0], object))
    (found,) = session.run(["score"], asked)
    np.testing.assert_allclose(found, expected, atol=1e-4)
