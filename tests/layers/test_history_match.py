import math

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.layers import HistoryMatch


def _match(item, history, mask, ages, decay_days=10.0):
    layer = HistoryMatch(decay_days)
    return layer(
        tf.constant([item], tf.float32),
        tf.constant([history], tf.float32),
        tf.constant([mask]),
        tf.constant([ages], tf.float32),
    ).numpy()[0]


def test_by_hand():
    # Cosines of (2, 0) with (3, 0), (0, 1) and the masked (-1, 0): 1 and 0. Softmax of 8 and 0
    # gives 1 / (1 + e^-8) to the first. Ages 0 and 10 at decay 10: weights 1 and 1/e.
    history, mask = [[3.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], [True, True, False]
    out = _match([[2.0, 0.0]], history, mask, [0, 10, 0])[0]
    expected = [1, 1 / (1 + math.exp(-8)), 0.5, 1 / (1 + math.exp(-1)), math.log(2)]
    np.testing.assert_allclose(out, expected, rtol=1e-5)


def test_the_best_match_may_be_negative():
    out = _match([[1.0, 0.0]], [[-1.0, 0.0], [0.0, 0.0]], [True, False], [0, 0])[0]
    np.testing.assert_allclose(out, [-1, -1, -1, -1, 0], rtol=1e-5)


@pytest.mark.parametrize("length", [0, 2])
def test_an_empty_history_is_zero(length):
    out = HistoryMatch()(
        tf.ones([2, 3, 4]),
        tf.ones([2, length, 4]),
        tf.zeros([2, length], tf.bool),
        tf.zeros([2, length]),
    )
    np.testing.assert_array_equal(out, np.zeros((2, 3, 5)))


def test_a_masked_item_has_no_influence():
    history, mask, ages = [[1.0, 2.0], [5.0, 1.0]], [True, False], [3, 4]
    before = _match([[1.0, 1.0]], history, mask, ages)
    after = _match([[1.0, 1.0]], [history[0], [-9.0, 7.0]], mask, [3, 0])
    np.testing.assert_array_equal(before, after)


def test_gradients_are_finite_at_zero_vectors():
    items, history = tf.Variable(tf.zeros([1, 1, 3])), tf.Variable(tf.zeros([1, 2, 3]))
    layer = HistoryMatch()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(items, history, tf.constant([[True, False]]), tf.zeros([1, 2])))
    for gradient in tape.gradient(total, [items, history, layer.tau]):
        assert np.isfinite(gradient).all()


def test_a_decay_must_be_positive():
    with pytest.raises(ValueError, match="decay_days"):
        HistoryMatch(0.0)
