import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import UserKNN

# u: a b; v: a b c; w: a c; x: d.
TRAIN = [
    *((user, item) for user, items in [("u", "ab"), ("v", "abc"), ("w", "ac")] for item in items)
]
TRAIN.append(("x", "d"))
UV, UW, VW = 2 / np.sqrt(6), 1 / 2, 2 / np.sqrt(6)


def scores_of(model, train, users):
    return model.fit(train).scorer(State.of(train))(np.array(users, np.int32))


def test_cosine_by_hand(temporal):
    train = temporal(TRAIN, [("u", "d")], items="abcde").train
    u, v, x, unknown = scores_of(UserKNN(), train, [0, 1, 3, -1])
    np.testing.assert_allclose(u, [UV + UW, UV, UV + UW, 0, 0], rtol=1e-6)
    # u and w took nothing that v did not take, so they are no neighbours of v.
    np.testing.assert_array_equal(v, np.zeros(5))
    np.testing.assert_array_equal([x, unknown], np.zeros((2, 5)))


def test_the_nearest_alone(temporal):
    train = temporal(TRAIN, [("u", "d")], items="abcde").train
    np.testing.assert_allclose(
        scores_of(UserKNN(k=1), train, [0])[0], [UV, UV, UV, 0, 0], rtol=1e-6
    )


def test_shrinkage_by_hand(temporal):
    train = temporal(TRAIN, [("u", "d")], items="abcde").train
    u = scores_of(UserKNN(shrinkage=3.0), train, [0])[0]
    uv, uw = 2 / (np.sqrt(6) + 3), 1 / (2 + 3)
    np.testing.assert_allclose(u, [uv + uw, uv, uv + uw, 0, 0], rtol=1e-6)


def test_tf_idf_by_hand(temporal):
    # Weights log(4 / 4)^2 = 0 of a, which three of four users have, log(4 / 3)^2 = l of b and c:
    # u and v share l of l and 2 l; u and w share nothing.
    train = temporal(TRAIN, [("u", "d")], items="abcde").train
    u = scores_of(UserKNN(similarity="tf_idf"), train, [0])[0]
    np.testing.assert_allclose(u, np.sqrt(0.5) * np.array([1, 1, 1, 0, 0]), rtol=1e-6)


def test_a_requested_history_is_compared_with_all_training_users(temporal):
    train = temporal(TRAIN, [("u", "d")], items="abcde").train
    serving = UserKNN().fit(train).serving(State.of(train))
    # History c: v shares 1 of 3, w 1 of 2.
    arrays = (
        np.array([-1], np.int32),
        np.array([2], np.int32),
        np.array([0], np.int32),
        np.zeros(1),
    )
    found = serving.users(*map(tf.constant, arrays))
    cv, cw = 1 / np.sqrt(3), 1 / np.sqrt(2)
    np.testing.assert_allclose(found, [[cv + cw, cv, cv + cw, 0, 0]], rtol=1e-6)


def test_repeated_events_make_known_items_candidates(temporal):
    train = temporal(TRAIN, [("u", "d")], items="abcde").train.with_repeats("all")
    v = scores_of(UserKNN(), train, [1])[0]
    np.testing.assert_allclose(v, [1 + UV + VW, 1 + UV, 1 + VW, 0, 0], rtol=1e-6)
