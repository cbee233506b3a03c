import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.layers import HistoryPooling


def test_two_pools_size_and_recency():
    ln2 = float(np.log(2.0))
    layer = HistoryPooling(decay_days=1.0)
    output = layer(
        tf.constant([[1.0], [3.0], [5.0]]),
        tf.constant([0, 0, 2]),
        tf.constant([ln2, 0.0, 0.0]),
        3,
    ).numpy()
    # Row 0: w = exp(-ln 2) = 1/2 and 1; recent (.5 * 1 + 1 * 3) / sqrt(1.5); all (1 + 3) / sqrt(2);
    # log(1 + 2) / 4; the latest event is 0 days old. Row 2: 5 / 1, 5 / 1, log 2 / 4, 0.
    expected = [3.5 / 1.5**0.5, 4 / 2**0.5, np.log(3) / 4, 0.0]
    np.testing.assert_allclose(output[0], expected, rtol=1e-6)
    np.testing.assert_allclose(output[2], [5.0, 5.0, ln2 / 4, 0.0], rtol=1e-6)
    # Row 1 has no history: nothing, and a recency capped at ten years.
    np.testing.assert_allclose(output[1], [0, 0, 0, np.log(3651) / 4], rtol=1e-6)


def test_weights_count_in_both_pools():
    layer = HistoryPooling()
    output = layer(
        tf.constant([[1.0], [3.0]]), tf.constant([0, 0]), tf.zeros(2), 1, tf.constant([3.0, 1.0])
    )
    # (3 * 1 + 1 * 3) / sqrt(4) = 3 in both pools.
    np.testing.assert_allclose(output[0, :2], [3.0, 3.0], rtol=1e-6)


def test_bad_decay():
    with pytest.raises(ValueError, match="Received: 0"):
        HistoryPooling(0)
