"""Options, saving and the graph of classic models; scores by hand stand in the files of each."""

import numpy as np
import pytest
import scipy.sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models import Model
from tfrec_fusion.models.classic import (
    EASE,
    IALS,
    ClassicModel,
    ItemItem,
    ItemKNN,
    ItemScores,
    LightGCN,
    Popularity,
    RecentPopularity,
    RP3Beta,
    TextMean,
    UserKNN,
)
from tfrec_fusion.models.serving.item_item_serving import ItemItemServing

TRAIN = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "b"), ("w", "a"), ("w", "c")]
VECTORS = np.array([[1, 0], [0, 1], [1, 1], [0.1, 1]], np.float32)
MODELS = [
    lambda: EASE(l2=2.0),
    lambda: EASE(l2=2.0, top=1),
    lambda: EASE(l2=2.0, vectors="text", text_weight=5.0),
    lambda: ItemKNN(k=2),
    lambda: ItemKNN(similarity="tf_idf", shrinkage=1.0),
    lambda: ItemKNN(similarity="bm25"),
    lambda: IALS(dim=3, epochs=2, unobserved_weight=0.5),
    lambda: LightGCN(dim=3, epochs=2),
    lambda: RP3Beta(k=2),
    lambda: UserKNN(k=2),
    lambda: UserKNN(similarity="tf_idf", shrinkage=1.0),
    lambda: Popularity(),
    lambda: RecentPopularity(share=0.5),
    lambda: TextMean(dims=2),
]


@pytest.fixture
def train(temporal):
    return temporal(TRAIN, [("u", "c")], items="abcd", vectors={"text": VECTORS}).train


@pytest.mark.parametrize("make", MODELS)
def test_the_graph_scores_as_numpy_does_and_so_does_a_saved_model(make, train, tmp_path):
    model, state = make().fit(train), State.of(train)
    users = np.array([0, 1, 2, -1], np.int32)
    expected = model.scorer(state)(users)
    assert isinstance(model, Model)
    model.save(tmp_path / "model")
    loaded = ClassicModel.load(tmp_path / "model")
    assert type(loaded) is type(model)
    assert (loaded.config, loaded.spec) == (model.config, model.spec)
    np.testing.assert_array_equal(loaded.scorer(state)(users), expected)
    for one, atol in ((loaded.serving(state), 1e-6), (loaded.serving(state, "int8"), 0.05)):
        items, positions, ages = state.flat_histories(users)
        queries = one.users(*map(tf.constant, (users, items, positions, ages)))
        rows = tf.constant(np.tile([0, 1, 2, 3, -1], (4, 1)), tf.int32)
        found = one.scores_with_unknown(queries, rows).numpy()
        np.testing.assert_allclose(found[:, :4], expected, atol=atol)
        np.testing.assert_array_equal(found[:, 4], np.zeros(4))
        scores, best = one.best(queries, 2, None)
        np.testing.assert_allclose(scores, -np.sort(-expected)[:, :2], atol=atol)
        assert best.shape == (4, 2)


def test_the_strongest_weights_by_hand():
    # Columns keep the one of the largest magnitude: -3 of the first, 2 of the second.
    weights = np.array([[0, 1, 0], [-3, 0, 0], [2, 2, 0]], np.float32)
    found = ItemItem(weights).strongest(1).weights
    assert scipy.sparse.issparse(found)
    assert found.toarray().tolist() == [[0, 0, 0], [-3, 0, 0], [0, 2, 0]]
    assert ItemItem(weights).strongest(3).weights is not None


def test_histories_of_many_items_are_summed_in_parts():
    # 300 users of 3 items each are more than are read at once; each sums rows 0, 1 and 2.
    weights = np.arange(16, dtype=np.float32).reshape(4, 4)
    users = np.zeros(300, np.int32)
    items, positions = np.tile([0, 1, 2], 300), np.repeat(np.arange(300), 3)
    for given in (weights, scipy.sparse.csr_array(weights)):
        one = ItemItemServing(given)
        arrays = (users, items.astype(np.int32), positions.astype(np.int32), np.zeros(900, "f4"))
        np.testing.assert_array_equal(
            one.users(*map(tf.constant, arrays)), np.tile([12, 15, 18, 21], (300, 1))
        )


def test_a_dense_matrix_above_the_limit_is_refused_and_the_sparse_form_is_not(train):
    # 4 x 4 float32 are 64 bytes.
    model = EASE(most_gib=63 / 2**30).fit(train)
    with pytest.raises(InputError, match=r"4 x 4 items are .* most_gib is .*EASE\(top=200\)"):
        model.serving(State.of(train))
    sparse = EASE(most_gib=63 / 2**30, top=2).fit(train)
    assert sparse.serving(State.of(train)).count == 4


def test_unknown_options_and_what_was_not_fitted(train, tmp_path):
    with pytest.raises(InputError, match="EASE: l3: Extra inputs"):
        EASE(l3=1)
    for use in (lambda: ItemKNN().save(tmp_path / "m"), lambda: ItemKNN().check(train)):
        with pytest.raises(InputError, match=r"item-kNN: .* before fit"):
            use()
    with pytest.raises(InputError, match="the path has no saved model"):
        ClassicModel.load(tmp_path)
    Popularity().fit(train).save(tmp_path / "m")
    with pytest.raises(InputError, match=r"EASE: .* holds a .*Popularity"):
        EASE.load(tmp_path / "m")


def test_a_model_that_gives_too_few_scores(train):
    class Short(ClassicModel):
        def fitted(self, train):
            return ItemScores(np.ones(3))

    with pytest.raises(InputError, match=r"Short: .* each of 4 items\. Received: 3"):
        Short().fit(train)


def test_another_catalogue_of_the_same_size(train, temporal):
    model = Popularity().fit(train)
    other = temporal(TRAIN, [("u", "c")], items="abce").train
    with pytest.raises(InputError, match="the model was built for other items"):
        model.serving(State.of(other))
