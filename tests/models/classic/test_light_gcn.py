import numpy as np
import pytest
import scipy.sparse

from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import LightGCN, PropagatedVectors, light_gcn

# Users u and v have a and b, w and x have c and d; v lacks b, and e is cold.
TRAIN = [
    (user, item)
    for user, items in zip("uvwx", ["ab", "a", "cd", "cd"], strict=True)
    for item in items
]


def test_layers_by_hand():
    # User 0 has items 0 and 1, user 1 item 0: n = 2, 1 and 2, 1.
    graph = light_gcn._Graph(scipy.sparse.csr_array(np.array([[1, 1], [1, 0]])), 2)
    users, items = graph.layers(*(np.array(v, np.float32) for v in ([[1], [2]], [[3], [4]])))
    r = np.sqrt(0.5)
    # u0: 3 / 2 + 4 r; u1: 3 r; i0: 1 / 2 + 2 r; i1: 1 r.
    np.testing.assert_allclose(users[1], [[1.5 + 4 * r], [3 * r]], rtol=1e-6)
    np.testing.assert_allclose(items[1], [[0.5 + 2 * r], [r]], rtol=1e-6)
    np.testing.assert_allclose(users[2][1], (0.5 + 2 * r) * r, rtol=1e-6)


def test_a_user_is_one_step_from_the_history():
    scores = PropagatedVectors(np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]]))
    # Both items: (3 + 5) / sqrt(2).
    state = type("State", (), {"matrix": scipy.sparse.csr_matrix([[1, 1], [0, 0]], dtype="f4")})
    found = scores.scorer(state)(np.array([0, 1, -1]))
    np.testing.assert_allclose(found, [[8 / np.sqrt(2), 16 / np.sqrt(2)], [0, 0], [0, 0]])


def test_the_training_histories_give_the_trained_vectors_without_layer_0(temporal):
    train = temporal(TRAIN, [("v", "b")], items="abcde").train
    model, kept = LightGCN(dim=4, layers=3, epochs=3), []
    trained = model._trained
    model._trained = lambda *given: kept.append((given[1], trained(*given))) or kept[0][1]
    found = model.fit(train).scorer(State.of(train))(np.arange(4))
    users, items = kept[0][0].layers(kept[0][1][:4], kept[0][1][4:])
    expected = (sum(users[1:]) / 4).numpy() @ (sum(items) / 4).numpy().T
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_it_finds_the_two_tastes(temporal):
    train = temporal(TRAIN, [("v", "b")], items="abcde").train
    v = LightGCN(dim=8, epochs=150).fit(train).scorer(State.of(train))(np.array([1]))[0]
    assert v[1] > max(v[2:])


def test_negatives_are_not_taken_while_there_are_others():
    # User 0 took items 0 to 8 of 10, user 1 all.
    user = np.array([*[0] * 9, *[1] * 10], np.int32)
    item = np.array([*range(9), *range(10)], np.int32)
    rng = np.random.default_rng(0)
    drawn = np.stack([light_gcn._Negatives(user, item, 10).drawn(rng) for _ in range(50)])
    # Ten further draws of one item in ten leave a taken one with probability .9^11 = .31.
    assert (drawn[:, :9] == 9).mean() > 0.6
    assert set(drawn[:, 9:].ravel()) == set(range(10))


def test_a_seed_gives_the_same_vectors(temporal):
    train = temporal(TRAIN, [("v", "b")], items="abcde").train
    one, two, other = (
        LightGCN(dim=4, epochs=3, seed=seed).fit(train).scores.vectors for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_a_diverged_training_stops(temporal):
    train = temporal(TRAIN, [("v", "b")], items="abcde").train
    with pytest.raises(InputError, match=r"diverged; lower learning_rate\. Received: 1e\+30"):
        LightGCN(learning_rate=1e30, epochs=3).fit(train)
