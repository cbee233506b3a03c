"""Ages of the histories that requests give."""

from __future__ import annotations

from tfrec_fusion._compat import tf


def history_ages(given: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Returns the ages of histories of `width` items; see `HISTORY_AGE`.

    Args:
      given: `[B, A]` float32 days; the first belongs to the first item.
      width: int scalar H.

    Returns:
      `[B, H]` float32, 0 for missing, negative, NaN and infinite ages.

    Example:
      >>> history_ages(tf.constant([[3.0, -1.0]]), 3).numpy().tolist()
      [[3.0, 0.0, 0.0]]
    """
    missing = tf.zeros([tf.shape(given)[0], width])
    ages = tf.concat([given, missing], 1)[:, :width]
    return tf.where(tf.math.is_finite(ages) & (ages > 0), ages, 0.0)
