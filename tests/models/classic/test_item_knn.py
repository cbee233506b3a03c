import numpy as np
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import ItemKNN, neighbours

# Users of a: u v w; of b: u v; of c: w; d is cold.
TRAIN = [("u", "a"), ("v", "a"), ("w", "a"), ("u", "b"), ("v", "b"), ("w", "c")]
AB = 2 / np.sqrt(3 * 2)
AC = 1 / np.sqrt(3 * 1)


def scores_of(baseline, train, users):
    return baseline.fit(train).scorer(State.of(train))(np.array(users, np.int32))


def test_cosine_by_hand(temporal):
    train = temporal(TRAIN, [("u", "c")], items="abcd").train
    u, _, w, unknown = scores_of(ItemKNN(), train, [0, 1, 2, -1])
    np.testing.assert_allclose(u, [AB, AB, AC, 0], rtol=1e-6)
    np.testing.assert_allclose(w, [AC, AB, AC, 0], rtol=1e-6)
    np.testing.assert_array_equal(unknown, np.zeros(4))


def test_each_item_keeps_its_nearest(temporal):
    # Nearest to a is b; to b: a; to c: a. So w's item c no longer lends its score to a.
    train = temporal(TRAIN, [("u", "c")], items="abcd").train
    w = scores_of(ItemKNN(k=1), train, [2])[0]
    np.testing.assert_allclose(w, [0, AB, AC, 0], rtol=1e-6)


def test_blocks_change_nothing(temporal, monkeypatch):
    train = temporal(TRAIN, [("u", "c")], items="abcd").train
    whole = scores_of(ItemKNN(k=2), train, [0, 1, 2])
    monkeypatch.setattr(neighbours, "BLOCK", 3)
    np.testing.assert_array_equal(scores_of(ItemKNN(k=2), train, [0, 1, 2]), whole)


def test_bad_k():
    with pytest.raises(InputError, match=r"ItemKNN: k: Input .* greater than 0\. Received: 0"):
        ItemKNN(k=0)


def test_shrinkage_by_hand(temporal):
    # |a| = sqrt(3), |b| = sqrt(2), 2 users of both; |c| = 1, 1 user of a and c.
    train = temporal(TRAIN, [("u", "c")], items="abcd").train
    u = scores_of(ItemKNN(shrinkage=2.0), train, [0])[0]
    ab, ac = 2 / (np.sqrt(6) + 2), 1 / (np.sqrt(3) + 2)
    np.testing.assert_allclose(u, [ab, ab, ac, 0], rtol=1e-6)


def test_tf_idf_by_hand(temporal):
    # Each user has 2 of the 4 items: idf = log(4 / 3) for all, so cosines are as without; but with
    # a user who has 3 items, log(4 / 4) = 0, that user supports nothing.
    train = temporal(TRAIN, [("u", "c")], items="abcd").train
    u = scores_of(ItemKNN(similarity="tf_idf"), train, [0])[0]
    np.testing.assert_allclose(u, [AB, AB, AC, 0], rtol=1e-6)
    three = temporal([*TRAIN, ("x", "a"), ("x", "c"), ("x", "b")], [("u", "c")], "abcd").train
    u = scores_of(ItemKNN(similarity="tf_idf"), three, [0])[0]
    np.testing.assert_allclose(u, [AB, AB, AC, 0], rtol=1e-6)


def test_bm25_by_hand(temporal):
    # idf^2 = log(4 / 3)^2. Users of a, b, c, d: 3, 2, 1, 0, in the mean 1.5, so with b = .5 and
    # k1 = 1 lengths are 1.5, 1.1667, .8333 and factors 2 / (L + 1) = .8, .923077, 1.090909.
    train = temporal(TRAIN, [("u", "c")], items="abcd").train
    u = scores_of(ItemKNN(similarity="bm25", bm25_k1=1.0, bm25_b=0.5), train, [0])[0]
    idf = np.log(4 / 3) ** 2
    ab, ac = 2 * idf * 0.8 * 2 / (13 / 6), idf * 0.8 * 2 / (11 / 6)
    np.testing.assert_allclose(u, [ab, ab, ac, 0], rtol=1e-5)


def test_shrinkage_of_bm25():
    with pytest.raises(InputError, match="leave it out for bm25"):
        ItemKNN(similarity="bm25", shrinkage=1.0)
