"""Standardisation of numeric columns to mean 0 and deviation 1."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import keras, tf


@keras.utils.register_keras_serializable("tfrec_fusion")
class Standardise(keras.layers.Layer):
    """Standardises the last columns, `(x - mean) / deviation`; NaN and infinite numbers become 0.

    `fit` sets mean and deviation once, from training rows. They are non-trainable weights, saved
    with the model, so training and serving scale numbers in the same way.

    Args:
      columns: how many of the last columns to standardise; earlier columns stay unchanged.
      limit: clips standardised numbers to [-limit, limit]; None does not.

    Input: float `[..., d]`, d at least `columns`.
    Output: float32 `[..., d]`.

    Raises:
      ValueError: `columns` is negative, or `limit` is not above 0.

    Example:
      >>> layer = Standardise(1)
      >>> layer.fit(np.array([[1.0], [3.0], [np.nan]]))
      >>> layer(tf.constant([[7.0, 1.0], [7.0, 2.0], [7.0, np.nan]])).numpy()[:, 1].tolist()
      [-1.0, 0.0, 0.0]
    """

    def __init__(self, columns: int, limit: float | None = None, **kwargs):
        super().__init__(autocast=False, **{"dtype": "float32", **kwargs})
        if columns < 0:
            raise ValueError(f"columns must be 0 or more. Received: {columns}")
        if limit is not None and not limit > 0:
            raise ValueError(f"limit must be above 0, or None. Received: {limit}")
        self.columns, self.limit = columns, limit
        self.build(None)

    def build(self, input_shape):
        if self.built:
            return
        for name, start in (("mean", "zeros"), ("deviation", "ones")):
            weight = self.add_weight(
                # One layer may hold two of these, and weight names in an .h5 file must be unique.
                f"{self.name}/{name}",
                (self.columns,),
                tf.float32,
                initializer=start,
                trainable=False,
                experimental_autocast=False,  # float32 under mixed precision too
            )
            setattr(self, name, weight)
        super().build(input_shape)

    def fit(self, values: np.ndarray) -> None:
        """Sets mean and deviation from values `[n, columns]`, ignoring NaN.

        A constant column has an infinite deviation, so that it is 0 for other numbers too: what
        reads it has learned nothing of them. A column without any finite number keeps its mean and
        deviation.
        """
        values = np.asarray(values, np.float64)
        mean, deviation = self.mean.numpy(), self.deviation.numpy()
        for column in range(self.columns):
            known = values[np.isfinite(values[:, column]), column]
            if len(known):
                spread = known.std()
                mean[column] = known.mean()
                deviation[column] = spread if spread > 1e-6 else np.inf
        self.mean.assign(mean)
        self.deviation.assign(deviation)

    def call(self, inputs):
        inputs = tf.cast(inputs, tf.float32)
        if not self.columns:
            return inputs
        scaled = (inputs[..., -self.columns :] - self.mean) / self.deviation
        scaled = tf.where(tf.math.is_finite(scaled), scaled, 0.0)
        if self.limit is not None:
            scaled = tf.clip_by_value(scaled, -self.limit, self.limit)
        return tf.concat([inputs[..., : -self.columns], scaled], -1)

    def get_config(self):
        return super().get_config() | {"columns": self.columns, "limit": self.limit}
