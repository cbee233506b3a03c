"""Columns of numbers with a mean of 0 and a deviation of 1."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import keras, tf


@keras.utils.register_keras_serializable("tfrec_fusion")
class Standardise(keras.layers.Layer):
    """`(x - mean) / deviation` of the last columns, 0 where a number is missing (NaN) or infinite.

    Mean and deviation are fitted once, on training rows, and are weights that no optimizer trains:
    they are saved and loaded with the model, so a number is the same wherever the model sees it.

    Args:
      columns: how many of the last columns are standardised; those before stay as they are.

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
                # Two of these may stand in one layer, and an .h5 file has one name a weight.
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
        """Takes mean and deviation (at least 1e-6) of each column of `[n, columns]`, NaN left out.

        A column without any number is left as it is.
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
