import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.losses import InBatchSoftmax

# users . items: row 0 scores log 2, 0, 0; rows 1 and 2 score 0 everywhere.
USERS = tf.constant([[1.0], [0.0], [0.0]])
ITEMS = tf.constant([[np.log(2.0)], [0.0], [0.0]], tf.float32)


def test_the_plain_loss_by_hand():
    # Row 0: log((2 + 1 + 1) / 2) = log 2; rows 1 and 2: log 3.
    expected = (np.log(2) + 2 * np.log(3)) / 3
    np.testing.assert_allclose(InBatchSoftmax()(USERS, ITEMS), expected, rtol=1e-6)


def test_an_accidental_hit_leaves_the_denominator():
    # Rows 1 and 2 hold one item: each has two candidates left, itself and item 0: log 2.
    # Row 0 keeps both copies: log 2.
    actual = InBatchSoftmax()(USERS, ITEMS, tf.constant([7, 8, 8]))
    np.testing.assert_allclose(actual, np.log(2), rtol=1e-6)


def test_log_q_is_taken_off():
    # Item 0 has q 1/2, the others 1/4: e^-log q is 2, 4, 4.
    # Row 0: (2*2 + 4 + 4) / (2*2) = 3; rows 1, 2: (2 + 4 + 4) / 4 = 2.5.
    log_q = tf.math.log([0.5, 0.25, 0.25])
    expected = (np.log(3) + 2 * np.log(2.5)) / 3
    np.testing.assert_allclose(InBatchSoftmax()(USERS, ITEMS, None, log_q), expected, rtol=1e-6)


def test_the_mean_is_over_rows_not_over_weights():
    # Losses log 2, log 3, log 3 with weights 3, 0, 1, over 3 rows.
    expected = (3 * np.log(2) + np.log(3)) / 3
    actual = InBatchSoftmax()(USERS, ITEMS, weight=tf.constant([3.0, 0.0, 1.0]))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.parametrize("log_q", [None, tf.math.log([0.5, 0.25])])
def test_distinct_items_with_places_are_the_repeated_ones_with_ids(log_q):
    rng = np.random.default_rng(0)
    users = tf.constant(rng.normal(size=(5, 3)), tf.float32)
    items = tf.constant(rng.normal(size=(2, 3)), tf.float32)
    own = tf.constant([1, 0, 1, 1, 0])
    weight = tf.constant(rng.random(5), tf.float32)

    def repeated(users, items):
        q = None if log_q is None else tf.gather(log_q, own)
        return InBatchSoftmax(2)(users, tf.gather(items, own), own, q, weight)

    def distinct(users, items):
        return InBatchSoftmax(2)(users, items, log_q=log_q, weight=weight, positive_index=own)

    found = []
    for loss_of in (repeated, distinct):
        with tf.GradientTape() as tape:
            tape.watch([users, items])
            loss = loss_of(users, items)
        gradients = tape.gradient(loss, [users, items])
        found.append([loss, *map(tf.convert_to_tensor, gradients)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
