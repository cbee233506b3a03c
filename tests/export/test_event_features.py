"""Exports of models that read features of past events."""

import json

import numpy as np
import pandas as pd
import pytest
from featured import with_noise

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import export, export_litert, export_onnx, refresh
from tfrec_fusion.features import Category, Features, Number, State
from tfrec_fusion.models import Ranker, TwoTower
from tfrec_fusion.pipelines import Blend

N_USERS, N_ITEMS = 10, 8
FEATURES = Features(event=[Category(column="event"), Number(column="rating")])
IDS = np.array([f"i{row}" for row in range(N_ITEMS)])


def _events(repeats="first", days=0):
    rng = np.random.default_rng(days)
    frame = pd.DataFrame({"user_id": np.repeat([f"u{u}" for u in range(N_USERS)], 4)})
    frame["item_id"] = np.concatenate([rng.permutation(IDS)[:4] for _ in range(N_USERS)])
    frame["timestamp"] = 1.7e9 + 86_400.0 * (rng.permutation(len(frame)) + days)
    frame["event"] = rng.choice(["view", "buy"], len(frame))
    frame["rating"] = rng.integers(1, 6, len(frame)).astype(float)
    catalogue = Catalogue(pd.DataFrame({"item_id": IDS}))
    return Interactions.from_frame(frame, catalogue, min_rating=1, repeats=repeats)


def _scores(version, **more):
    score = tf.saved_model.load(str(version)).signatures["score"]
    users = tf.constant([f"u{row}" for row in range(N_USERS)])
    inputs = {"user_id": users, "item_id": tf.constant(np.tile(IDS, (N_USERS, 1)))}
    return score(**inputs, **more)["score"].numpy()


def _saved_and_loaded(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


@pytest.mark.parametrize("repeats", ["first", pytest.param("all", marks=pytest.mark.slow)])
def test_a_two_tower_is_served_as_it_scores(tmp_path, repeats):
    events = _events(repeats)
    model = with_noise(TwoTower(events, dim=4, features=FEATURES))
    model = _saved_and_loaded(model, tmp_path)
    expected = np.asarray(model.scorer(State.of(events))(np.arange(N_USERS)))
    version = export(model, events, tmp_path / "shop", deployment=False, explain=repeats == "first")
    np.testing.assert_allclose(_scores(version), expected, rtol=1e-4, atol=1e-4)
    # Without the events' features the scores are others, as those of a history in a request.
    own = [IDS[one].tolist() for one in np.split(*_parts(State.of(events).histories))]
    history = pd.DataFrame(own).fillna("").to_numpy(str)
    loaded = tf.saved_model.load(str(version))
    inputs = {"user_id": tf.constant(events.users.ids), "history": tf.constant(history)}
    inputs["history_age"] = tf.zeros([N_USERS, 0])
    if repeats == "first":
        same = {**inputs, "item_id": tf.constant(np.tile(IDS, (N_USERS, 1)))}
        stored = same | {"history": tf.zeros([N_USERS, 0], tf.string)}
        given, kept = (loaded.signatures["explain"](**one) for one in (same, stored))
        np.testing.assert_allclose(kept["score"], expected, rtol=1e-4, atol=1e-4)
        assert np.abs(given["score"] - expected).max() > 0.05
        shares = sum(value.numpy() for name, value in kept.items() if name != "score")
        np.testing.assert_allclose(shares, expected, rtol=1e-4, atol=1e-4)
    card = json.loads((version / "model_card.json").read_text())
    assert any("Features of past events" in sentence for sentence in card["semantics"])


def _parts(histories):
    return histories.items, histories.splits[1:-1]


@pytest.mark.acceptance
def test_small_tables_onnx_and_a_refresh(tmp_path):
    events = _events()
    model = with_noise(TwoTower(events, dim=4, features=FEATURES))
    expected = np.asarray(model.scorer(State.of(events))(np.arange(N_USERS)))
    version = export(model, events, tmp_path / "shop", deployment=False, precision="int8")
    assert np.abs(_scores(version) - expected).max() < 0.1 * expected.std()
    reading = {"recommend", "serving_default", "score", "user_vector"}
    assert reading.isdisjoint(export_onnx(version, tmp_path / "onnx"))
    frame = _events(days=60)
    newer = model.scorer(State.of(frame))(np.arange(N_USERS))
    version = refresh(model, frame, tmp_path / "shop", deployment=False, any_time=True)
    assert np.abs(_scores(version) - newer).max() < 0.1 * expected.std()


@pytest.mark.slow
def test_a_ranker_is_served_as_it_scores(tmp_path):
    events = _events()
    model = with_noise(Ranker(events, dim=4, hidden=[4], features=FEATURES))
    model = _saved_and_loaded(model, tmp_path)
    expected = model.scorer(State.of(events))(np.arange(N_USERS))
    none = {"history": tf.zeros([N_USERS, 0], tf.string), "history_age": tf.zeros([N_USERS, 0])}
    for precision, error in (("float32", 1e-4), ("int8", 0.2)):
        options = {"deployment": False, "precision": precision}
        version = export(model, events, tmp_path / precision, **options)
        assert np.abs(_scores(version, **none) - expected).max() < error * expected.std()
        assert "score" not in export_onnx(version, tmp_path / "onnx")
    with pytest.raises(InputError, match="litert: the ranker reads features of past events"):
        export_litert(version, tmp_path / "lite")


@pytest.mark.slow
def test_a_blend_of_them_is_not_served(tmp_path):
    events = _events()
    members = {"tower": TwoTower(events, dim=4, features=FEATURES)}
    blend = Blend(members, weights={"tower": 1.0})
    assert np.isfinite(blend.scorer(State.of(events))(np.arange(3))).all()
    with pytest.raises(InputError, match=r"cannot serve members that read.*\['tower'\]"):
        export(blend, events, tmp_path / "shop", deployment=False)
