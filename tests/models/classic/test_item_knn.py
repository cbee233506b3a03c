import numpy as np
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import ItemKNN, item_knn

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
    monkeypatch.setattr(item_knn, "_BLOCK", 3)
    np.testing.assert_array_equal(scores_of(ItemKNN(k=2), train, [0, 1, 2]), whole)


def test_bad_k():
    with pytest.raises(InputError, match=r"ItemKNN: k: Input .* greater than 0\. Received: 0"):
        ItemKNN(k=0)
