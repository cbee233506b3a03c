import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import IALS, FoldedFactors, least_squares

# Users u and v have a and b, w and x have c and d; e is cold.
TRAIN = [
    (user, item)
    for users, items in (("uv", "ab"), ("wx", "cd"))
    for user in users
    for item in items
]
TRAIN.remove(("v", "b"))


def test_a_user_vector_by_hand():
    # w V'V = diag(1, 2), history item 0 with v = (2, 0), ridge = .5 (1 + 3)^.5 = 1:
    # (1 + 4 + 1) x = 2, so x = (1/3, 0); item 1 = (1, 1) scores 1/3.
    scores = FoldedFactors(np.array([[2, 0], [1, 1]]), np.diag([1.0, 2.0]), 0.5, 3.0, 0.5)
    history = scipy.sparse.csr_array(np.array([[1, 0], [0, 0]], np.float32))
    np.testing.assert_allclose(scores.folded(history), [[1 / 3, 0], [0, 0]], atol=1e-7)
    users = scores.serving(None, "float32").users
    found = users(tf.zeros(2, tf.int32), tf.constant([0]), tf.constant([0]), tf.zeros(1))
    np.testing.assert_allclose(found, [[1 / 3, 0], [0, 0]], atol=1e-7)


def test_sweeps_lower_the_objective_to_a_minimum(temporal):
    train = temporal(TRAIN, [("v", "b")], items="abcde").train
    matrix, a, l2 = train.matrix().toarray(), 0.2, 0.01

    def objective(epochs):
        scores = IALS(dim=2, epochs=epochs, unobserved_weight=a, l2=l2).fit(train).scores
        items = scores.vectors.astype(np.float64)
        users = scores.folded(State.of(train).matrix).astype(np.float64)
        product = users @ items.T
        loss = (matrix * (product - 1) ** 2).sum() + a * (product**2).sum()
        loss += l2 * ((matrix.sum(1) + a * 5) * (users**2).sum(1)).sum()
        return loss + l2 * ((matrix.sum(0) + a * 4) * (items**2).sum(1)).sum()

    losses = [objective(epochs) for epochs in (1, 3, 30, 200)]
    assert losses == sorted(losses, reverse=True)
    # Further sweeps do not move the minimum.
    assert objective(400) == pytest.approx(losses[-1], rel=1e-4)


def test_it_finds_the_two_tastes_and_cold_items_score_0(temporal):
    train = temporal(TRAIN, [("v", "b")], items="abcde").train
    v, unknown = IALS(dim=2).fit(train).scorer(State.of(train))(np.array([1, -1]))
    assert v[1] > 2 * abs(v[2:]).max() and v[4] == 0
    np.testing.assert_array_equal(unknown, np.zeros(5))


def test_long_and_short_histories_in_one_batch_of_the_graph():
    # 150 items are read in three parts.
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 3)).astype(np.float32)
    scores = FoldedFactors(vectors, 0.1 * vectors.T @ vectors, 0.1, 20.0, 1.0)
    dense = np.zeros((4, 200), np.float32)
    for row, count in enumerate((150, 0, 1, 64)):
        dense[row, rng.choice(200, count, replace=False)] = 1
    histories = scipy.sparse.csr_array(dense)
    positions, items = np.nonzero(dense)
    arrays = (np.zeros(4), items, positions.astype(np.int32), np.zeros(len(items)))
    found = scores.serving(None, "float32").users(*map(tf.constant, arrays))
    np.testing.assert_allclose(found, scores.folded(histories), atol=1e-6)


def test_batches_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    matrix = scipy.sparse.random_array((50, 20), density=0.3, rng=rng, format="csr")
    vectors = rng.normal(size=(20, 4)).astype(np.float32)
    whole = least_squares.solved_rows(matrix, vectors, np.eye(4), np.ones(50))
    monkeypatch.setattr(least_squares, "_NUMBERS", 40)
    parts = least_squares.solved_rows(matrix, vectors, np.eye(4), np.ones(50))
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_repeated_events_are_observations(temporal):
    # a twice and b once for u: a pulls more than b.
    frame = pd.DataFrame({"user_id": "u", "item_id": list("aab"), "timestamp": [0.0, 1.0, 2.0]})
    catalogue = Catalogue(pd.DataFrame({"item_id": list("abc")}))
    train = Interactions.from_frame(frame, catalogue, repeats="all")
    a, b, _ = IALS(dim=2).fit(train).scorer(State.of(train))(np.array([0]))[0]
    assert a > b > 0


@pytest.mark.parametrize("options", [{"l2": 0}, {"dim": 0}, {"unobserved_weight": -1}])
def test_bad_options(options):
    with pytest.raises(InputError, match=f"IALS: {next(iter(options))}"):
        IALS(**options)
