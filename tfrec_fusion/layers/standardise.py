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

    Input: float `[..., d]`, d at least `columns`.
    Output: float32 `[..., d]`.

    Raises:
      ValueError: `columns` is negative.

    Example:
      >>> layer = Standardise(1)
      >>> layer.fit(np.array([[1.0], [3.0], [np.nan]]))
      >>> layer(tf.constant([[7.0, 1.0], [7.0, 2.0], [7.0, np.nan]])).numpy()[:, 1].tolist()
      [-1.0, 0.0, 0.0]
    """

    def __init__(self, columns: int, **kwargs):
        super().__init__(autocast=False, **{"dtype": "float32", **kwargs})
        if columns < 0:
            raise ValueError(f"columns must be 0 or more. Received: {columns}")
        self.columns = columns
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
        """Sets mean and deviation (at least 1e-6) from values `[n, columns]`, ignoring NaN.

        A column without any finite number keeps its mean and deviation.
        """
        values = np.asarray(values, np.float64)
        mean, deviation = self.mean.numpy(), self.deviation.numpy()
        for column in range(self.columns):
            known = values[np.isfinite(values[:, column]), column]
            if len(known):
                mean[column], deviation[column] = known.mean(), max(known.std(), 1e-6)
        self.mean.assign(mean)
        self.deviation.assign(deviation)

    def call(self, inputs):
        inputs = tf.cast(inputs, tf.float32)
        if not self.columns:
            return inputs
        scaled = (inputs[..., -self.columns :] - self.mean) / self.deviation
        scaled = tf.where(tf.math.is_finite(scaled), scaled, 0.0)
        return tf.concat([inputs[..., : -self.columns], scaled], -1)

    def get_config(self):
        return super().get_config() | {"columns": self.columns}
