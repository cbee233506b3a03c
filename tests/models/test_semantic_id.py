"""Semantic ids as a feature of items: trained, exported and loaded."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import export
from tfrec_fusion.features import Features, SemanticId, State
from tfrec_fusion.models import Ranker, TwoTower

N_ITEMS, N_USERS = 40, 30
DECLARED = Features(item=[SemanticId(column="text", levels=2, codes=2, whitening_dim=1)])


def _catalogue(**columns):
    """Even and odd items have opposite texts; items 34 and 35 have none, and those from 36 on,
    besides, are cold."""
    rng = np.random.default_rng(0)
    text = rng.normal(scale=0.1, size=(N_ITEMS, 4)).astype(np.float32)
    text[:, 0] += 2 * (np.arange(N_ITEMS) % 2) - 1
    text[34:36] = 0
    frame = pd.DataFrame({"item_id": [f"i{row}" for row in range(N_ITEMS)]}).assign(**columns)
    return Catalogue(frame, {"text": text}, numbers=[])


def _events(catalogue=None):
    """Users take items of their own parity."""
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(N_USERS), 12)
    item = 2 * rng.integers(0, 18, len(user)) + user % 2
    frame = pd.DataFrame({"user_id": [f"u{u}" for u in user], "item_id": [f"i{i}" for i in item]})
    frame["timestamp"] = 1.6e9 + 86_400.0 * rng.permutation(len(frame))
    return Interactions.from_frame(frame, catalogue or _catalogue())


@pytest.fixture(scope="module")
def events():
    return _events()


def _noise(model):
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign_add(rng.normal(scale=0.3, size=weight.shape).astype(np.float32))
    return model


def test_a_cold_item_has_the_embedding_of_its_neighbours(events):
    """Without ids and vectors an item is its prefixes."""
    keras.utils.set_random_seed(0)
    model = TwoTower(
        events, dim=4, features=DECLARED, use_ids=False, vectors=[], trend=False, user_layer=False
    )
    rows = model.tower.features.rows.numpy()
    assert (rows[34:36] == -1).all()
    even, odd = rows[[0, 2, 36, 38], 0], rows[[1, 3, 37, 39], 0]
    assert len(set(even)) == len(set(odd)) == 1
    assert even[0] != odd[0]
    batches = events.batches(32)
    model.compile(keras.optimizers.Adam(0.05))
    model.fit(batches, epochs=10, verbose=0)
    scores = model.scorer(State.of(events))(np.arange(N_USERS))
    odd_user = np.array([int(name[1:]) % 2 for name in events.users.ids])
    own = np.where(odd_user[:, None], scores[:, [37, 39]], scores[:, [36, 38]])
    other = np.where(odd_user[:, None], scores[:, [36, 38]], scores[:, [37, 39]])
    assert (own.mean(1) > other.mean(1)).mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("item_features", ["added", "fused"])
def test_an_export_and_a_file_give_equal_scores(events, item_features, tmp_path):
    model = TwoTower(
        events,
        dim=4,
        features=DECLARED,
        item_features=item_features,
        fusion="sum",
        trend=False,
    )
    plain = _noise(model).scorer(State.of(events))
    users = np.arange(N_USERS)
    expected = plain(users)
    before = model.tower.features.table.numpy()
    model.tower.features.table.assign(before + 1)
    assert np.abs(model.scorer(State.of(events))(users) - expected).max() > 1e-2
    model.tower.features.table.assign(before)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.spec == model.spec
    np.testing.assert_allclose(loaded.scorer(State.of(events))(users), expected, rtol=1e-6)
    version = export(model, events, tmp_path / "shop", deployment=False)
    served = tf.saved_model.load(str(version)).signatures["item_vector"]
    vectors = served(item_id=tf.constant(list(events.catalogue.vocabulary.ids)))["vector"]
    np.testing.assert_allclose(vectors, plain.item_vectors, atol=1e-5)


def test_a_ranker_reads_them_too(events):
    model = _noise(Ranker(events, dim=4, hidden=[4], cross_layers=1, features=DECLARED))
    before = model.scorer(State.of(events))(np.arange(2))
    table = model.tower.features.table
    table.assign_add(tf.ones_like(table))
    assert np.abs(model.scorer(State.of(events))(np.arange(2)) - before).max() > 1e-3


def test_vectors_come_before_a_column_of_the_same_name(events):
    named = TwoTower(_events(_catalogue(text=["a book"] * N_ITEMS)), dim=4, features=DECLARED)
    assert named.spec.item_side == TwoTower(events, dim=4, features=DECLARED).spec.item_side


def test_a_catalogue_without_the_vectors_is_refused(events):
    frame = events.catalogue.frame.assign(text="a book")
    with pytest.raises(InputError, match=r"semantic_id reads vectors 'text', which .* Received"):
        TwoTower(_events(Catalogue(frame, numbers=[])), dim=4, features=DECLARED)
