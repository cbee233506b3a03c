import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.losses import SampledSoftmax

# One user; the positive scores log 2, the negatives 0 and log 3.
USER, POSITIVE = tf.constant([[1.0]]), tf.constant([[np.log(2.0)]], tf.float32)
NEGATIVES = tf.constant([[0.0], [np.log(3.0)]], tf.float32)
ID, OTHERS = tf.constant([5]), tf.constant([6, 7])


def test_the_loss_by_hand():
    # (2 + 1 + 3) / 2 = 3.
    actual = SampledSoftmax()(USER, POSITIVE, NEGATIVES, ID, OTHERS)
    np.testing.assert_allclose(actual, np.log(3), rtol=1e-6)


def test_the_rows_own_item_is_no_negative():
    # Without the second: (2 + 1) / 2.
    actual = SampledSoftmax()(USER, POSITIVE, NEGATIVES, ID, tf.constant([6, 5]))
    np.testing.assert_allclose(actual, np.log(1.5), rtol=1e-6)
    # Without both nothing is left to tell the positive from.
    actual = SampledSoftmax()(USER, POSITIVE, NEGATIVES, ID, tf.constant([5, 5]))
    np.testing.assert_allclose(actual, 0.0, atol=1e-6)


def test_log_q_undoes_the_sampling():
    # Expected draws: positive 1, negatives 1 and 1/10. (2 + 1 + 3 * 10) / 2 = 16.5.
    actual = SampledSoftmax()(
        USER, POSITIVE, NEGATIVES, ID, OTHERS, tf.zeros([1]), tf.math.log([1.0, 0.1])
    )
    np.testing.assert_allclose(actual, np.log(16.5), rtol=1e-6)


def test_half_a_correction_is_refused():
    with pytest.raises(ValueError, match="Received: only negative_log_q"):
        SampledSoftmax()(USER, POSITIVE, NEGATIVES, ID, OTHERS, negative_log_q=tf.zeros([2]))
