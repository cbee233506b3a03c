"""Declared features of items as an input of the fusion."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import explain, feature_importance
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.export import export
from tfrec_fusion.features import Category, Features, Number, State
from tfrec_fusion.layers import FUSIONS, SideFeatures
from tfrec_fusion.models import ItemTower, Ranker, TwoTower

N_ITEMS, N_USERS, DIM = 12, 16, 4
DECLARED = Features(item=[Category(column="kind"), Number(column="price")])
FUSED = {"features": DECLARED, "item_features": "fused", "dim": DIM, "trend": False}
OF_FROZEN = ("delta", "null_space")
TRAINED = [name for name in FUSIONS if name not in OF_FROZEN]


def _events(vectors=("text",), times=True):
    """Users take items of their own kind; the last two items are cold, and item 3 has no value."""
    items = pd.DataFrame(
        {
            "item_id": [f"i{row}" for row in range(N_ITEMS)],
            "kind": ["even", "odd"] * (N_ITEMS // 2),
            "price": np.arange(N_ITEMS) + 1.0,
        }
    )
    items.loc[3, ["kind", "price"]] = None
    user, item = np.divmod(np.arange(N_USERS * 4), 4)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{row}" for row in user],
            "item_id": [f"i{(2 * (row + owner) + owner % 2) % (N_ITEMS - 2)}" for row, owner
                        in zip(item, user, strict=True)],
        }
    )  # fmt: skip
    if times:
        frame["timestamp"] = 1.7e9 + 86_400.0 * np.arange(len(frame))
    text = np.random.default_rng(0).normal(size=(N_ITEMS, 6)).astype(np.float32)
    text[-1] = 0
    catalogue = Catalogue(items, dict.fromkeys(vectors, text), numbers=[])
    return Interactions.from_frame(frame, catalogue)


@pytest.fixture(scope="module")
def events():
    return _events()


def _noise(model, scale=0.3):
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign_add(rng.normal(scale=scale, size=weight.shape).astype(np.float32))
    return model


def test_rows_with_a_value_are_present():
    """Columns of numbers: a and its flag, then b1, b2 and their flag."""
    layer = SideFeatures(4, 2, [(2, "sum")], 5, 3, flags=[1, 4])
    flags = [[0, 1, 0, 0, 1], [0, 0, 0, 0, 1], [0, 1, 0, 0, 1], [0, 1, 0, 0, 0]]
    layer.assign(np.array([[-1, -1], [-1, -1], [-1, 0], [-1, -1]]), np.array(flags, np.float32))
    assert layer.present([0, 1, 2, 3, -1]).numpy().tolist() == [False, True, True, True, False]


def test_a_sum_fuses_what_would_be_added(events):
    rows, seen = tf.range(N_ITEMS), tf.ones([N_ITEMS], tf.bool)
    towers = []
    for kind in ("fused", "added"):
        keras.utils.set_random_seed(0)
        options = FUSED | {"item_features": kind, "fusion": "sum"}
        towers.append(_noise(TwoTower(events, **options)).tower)
    fused, added = towers
    found = fused(rows, seen).numpy() - added(rows, seen).numpy()
    # Item 3 has no value: what the model adds for the flag of a missing price is no content.
    np.testing.assert_allclose(np.delete(found, 3, 0), 0, atol=1e-5)
    assert np.abs(found[3]).max() > 0.01
    inputs, masks = fused.inputs(rows, seen)
    assert sorted(inputs) == ["features", "id", "text"]
    assert np.flatnonzero(~masks["features"].numpy()).tolist() == [3]
    np.testing.assert_allclose(fused.fusion(inputs, masks), fused(rows, seen))


@pytest.mark.parametrize("make", [TwoTower, Ranker])
@pytest.mark.parametrize("fusion", TRAINED)
def test_every_fusion_of_trained_content_reads_them(events, make, fusion):
    model = _noise(make(events, **FUSED, fusion=fusion), 0.1)
    rows = tf.range(N_ITEMS)
    before = model.tower(rows, rows < N_ITEMS - 2).numpy()
    model.tower.features.kernel.assign_add(tf.ones_like(model.tower.features.kernel))
    changed = np.abs(model.tower(rows, rows < N_ITEMS - 2).numpy() - before).max(1) > 1e-4
    # Cold items change too, the last of which has features alone; item 3 has none.
    assert np.flatnonzero(~changed).tolist() == [3]


@pytest.mark.parametrize("make", [TwoTower, Ranker])
def test_what_cannot_be_fused_is_said_in_one_line(events, make):
    for fusion in OF_FROZEN:
        with pytest.raises(
            InputError, match=r"item_features: must be 'added' with .*Received: 'fu"
        ):
            make(events, **FUSED, fusion=fusion)
        with pytest.raises(ValueError, match="fuses frozen vectors alone"):
            ItemTower(3, 2, {}, fusion, features=SIZES, item_features="fused")
    with pytest.raises(InputError, match=r"'fused' needs features of items; .*Received: features="):
        make(events, **FUSED | {"features": Features()})
    with pytest.raises(InputError, match=r"a vector named 'features' cannot be .*\['features'\]"):
        make(_events(["features"]), **FUSED)
    with pytest.raises(InputError, match=r"item_features: .*'added' or 'fused'.*Received: 'sum'"):
        make(events, **FUSED | {"item_features": "sum"})


SIZES = {"n_values": 3, "slots": [(1, "sum")], "n_numbers": 0}


def test_the_default_fusion_is_one_that_takes_them(events):
    assert TwoTower(events, dim=DIM, features=DECLARED).config.fusion == "null_space"
    assert TwoTower(events, **FUSED).config.fusion == "sum"


def test_modality_dropout_hides_them_but_never_all():
    tower = ItemTower(
        60, DIM, {}, features=SIZES, item_features="fused", modality_dropout=0.5, id_dropout=0.0
    )
    tower.features.assign(np.ones((60, 1), np.int32), np.zeros((60, 0), np.float32))
    rows, seen = tf.range(60), tf.ones([60], tf.bool)
    tower(rows, seen)
    # The mask of an id says nothing where an unknown id replaces it.
    hidden = ~tower.inputs(rows, seen, training=True)[1]["features"].numpy()
    # Half of them, but for those whose id is hidden too and drew less: 3/8 of 60 is 22.5.
    assert 12 < hidden.sum() < 36
    assert tower.inputs(rows, seen)[1]["features"].numpy().all()


@pytest.mark.parametrize(
    ("make", "fusion", "precision"),
    [
        (TwoTower, "gate", "float32"),
        pytest.param(TwoTower, "cross_attention", "int8", marks=pytest.mark.slow),
        pytest.param(Ranker, "gate", "float32", marks=pytest.mark.slow),
    ],
)
def test_trained_saved_and_exported_scores_are_equal(events, make, fusion, precision, tmp_path):
    keras.utils.set_random_seed(0)
    model = make(events, **FUSED, fusion=fusion, modality_dropout=0.2)
    batches = ranking_examples(events, 16, negatives=1) if make is Ranker else events.batches(8)
    model.compile(keras.optimizers.Adam(0.03))
    before = model.tower.features.kernel.numpy()
    model.fit(batches, epochs=2, verbose=0)
    assert np.abs(model.tower.features.kernel.numpy() - before).max() > 0.01
    users = np.array([0, 5, -1], np.int32)
    scores = model.scorer(State.of(events))(users)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.scorer(State.of(events))(users), scores, atol=1e-5)
    version = export(loaded, events, tmp_path / "shop", precision=precision, deployment=False)
    served = tf.saved_model.load(str(version)).signatures["score"]
    extra = (
        {}
        if make is TwoTower
        else {
            "history": tf.fill([3, 0], ""),
            "history_age": tf.zeros([3, 0]),
        }
    )
    found = served(
        user_id=tf.constant(["u0", "u5", "nobody"]),
        item_id=tf.constant([events.catalogue.vocabulary.ids.tolist()] * 3),
        **extra,
    )["score"]
    tolerance = 1e-5 if precision == "float32" else 0.03 * np.abs(scores).max()
    np.testing.assert_allclose(found, scores, rtol=1e-4, atol=tolerance)


@pytest.mark.slow
def test_shares_and_importance_of_fused_features(events, tmp_path):
    model = _noise(TwoTower(events, **FUSED, fusion="gate"))
    frame = explain(model, events, ["u0", "u1", "u0"], ["i0", "i3", "i11"])
    parts = ["id", "text", "features", "context", "bias"]
    np.testing.assert_allclose(frame[parts].sum(axis=1), frame["score"], rtol=1e-4, atol=1e-4)
    assert (frame["features"].abs() > 1e-3).all()
    version = export(model, events, tmp_path / "shop", deployment=False, explain=True)
    served = tf.saved_model.load(str(version)).signatures["explain"](
        user_id=tf.constant(["u0", "u1", "u0"]),
        item_id=tf.constant([["i0"], ["i3"], ["i11"]]),
        history=tf.fill([3, 0], ""),
        history_age=tf.zeros([3, 0]),
    )
    np.testing.assert_allclose(served["share_features"][:, 0], frame["features"], atol=1e-3)
    split = events.split("random", test=0.3)
    model = _noise(TwoTower(split.train, **FUSED))
    before = model.tower.features.rows.numpy()
    found = feature_importance(model, split, repeats=1, bootstrap=10)
    assert sorted(found["feature"]) == ["kind", "price"]
    np.testing.assert_array_equal(model.tower.features.rows, before)


def test_features_alone_are_fused_and_train():
    events = _events([], times=False)
    model = TwoTower(events, **FUSED, use_ids=False, fusion="gate")
    model.compile(keras.optimizers.Adam(0.05))
    model.fit(events.batches(8), epochs=3, verbose=0)
    scores = model.scorer(State.of(events))(np.arange(N_USERS, dtype=np.int32))
    even = scores[:, 4:N_ITEMS:2].mean(1) - scores[:, 5:N_ITEMS:2].mean(1)
    sign = np.where([int(name[1:]) % 2 for name in events.users.ids], -1, 1)
    assert (sign * even > 0).all()
