"""Cold items scored by warm items with similar texts, in every model alike."""

import numpy as np
import pytest
import scipy.sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import (
    EASE,
    IALS,
    ClassicModel,
    ColdOptions,
    ItemItem,
    ItemKNN,
    ItemScores,
    LightGCN,
    RP3Beta,
    UserKNN,
)
from tfrec_fusion.models.classic.cold_mixing import cold_mixing

# Around the mean (5, 5) of the warm items a to d, e lies where a does and f between a and c; g has
# no vector. Whitening only rotates, as in the tests of TextMean.
VECTORS = np.array([[6, 5], [4, 5], [5, 6], [5, 4], [9, 5], [7, 7], [5, 9]], np.float32)
TRAIN = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "c"), ("w", "b"), ("w", "d"), ("w", "a")]


@pytest.fixture
def train(temporal):
    train = temporal(TRAIN, [("u", "c")], "abcdefg", vectors={"text": VECTORS}).train
    train.catalogue.vectors["text"].mask[6] = False
    return train


def test_the_weights_by_hand(train):
    found = cold_mixing(train, "text", 2, "model").toarray()
    np.testing.assert_array_equal(found[:4], np.eye(7)[:4])
    # Of e only a has a cosine above 0; f is at 45 degrees to a and c.
    expected = [[1, 0, 0, 0, 0, 0, 0], [0.5, 0, 0.5, 0, 0, 0, 0], [0] * 7]
    np.testing.assert_allclose(found[4:], expected, atol=1e-5)


def test_cold_rows_and_columns_of_item_weights_by_hand():
    # The cold item 2 is half of 0 and half of 1.
    mixing = scipy.sparse.csr_array(np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]], np.float32))
    weights = np.array([[0, 4, 0], [2, 0, 0], [0, 0, 0]], np.float32)
    expected = [[0, 4, 2], [2, 0, 1], [1, 2, 0]]
    np.testing.assert_array_equal(ItemItem(weights).mixed(mixing).weights, expected)
    sparse = ItemItem(scipy.sparse.csr_array(weights)).mixed(mixing).weights
    np.testing.assert_array_equal(sparse.toarray(), expected)
    assert ItemScores(np.array([1, 3, 0])).mixed(mixing).scores.tolist() == [1, 3, 2]


@pytest.mark.parametrize(
    "make",
    [
        ItemKNN,
        lambda **cold: ItemKNN(similarity="bm25", **cold),
        UserKNN,
        RP3Beta,
        lambda **cold: EASE(l2=1.0, **cold),
        lambda **cold: IALS(dim=3, epochs=3, **cold),
        lambda **cold: LightGCN(dim=3, epochs=3, **cold),
    ],
)
def test_a_cold_item_scores_as_its_warm_items_do(make, train, tmp_path):
    users, state = np.array([0, 1, 2, -1], np.int32), State.of(train)
    plain = make().fit(train).scorer(state)(users)
    model = make(cold="text", cold_neighbours=2).fit(train)
    found = model.scorer(state)(users)
    np.testing.assert_allclose(found[:, :4], plain[:, :4], atol=1e-6)
    np.testing.assert_allclose(found[:, 4], plain[:, 0], atol=1e-4)
    np.testing.assert_allclose(found[:, 5], (plain[:, 0] + plain[:, 2]) / 2, atol=1e-4)
    np.testing.assert_array_equal(found[:, 6], np.zeros(4))
    model.save(tmp_path / "model")
    loaded = ClassicModel.load(tmp_path / "model")
    serving = loaded.serving(state)
    items, positions, ages = state.flat_histories(users)
    queries = serving.users(*map(tf.constant, (users, items, positions, ages)))
    rows = tf.constant(np.tile(np.arange(7, dtype=np.int32), (4, 1)))
    np.testing.assert_allclose(serving.scores_of(queries, rows), found, atol=1e-6)


def test_own_models_and_errors(train):
    class Own(ClassicModel):
        Config = ColdOptions

        def fitted(self, train):
            return ItemScores(train.item_counts())

    # a, b, c, d have 3, 2, 1, 1 events.
    found = Own(cold="text", cold_neighbours=2).fit(train).scores.scores
    np.testing.assert_allclose(found, [3, 2, 1, 1, 3, 2, 0], atol=1e-4)
    with pytest.raises(InputError, match=r"Own: vectors must .* Received: 'image'"):
        Own(cold="image").fit(train)
    with pytest.raises(InputError, match="ItemKNN: cold_neighbours"):
        ItemKNN(cold="text", cold_neighbours=0)
