"""Score contribution of an item's recency, trend and numbers."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import Standardise


@keras.utils.register_keras_serializable("tfrec_fusion")
class TrendMatch(keras.layers.Layer):
    """Maps item features to a vector to match with users, and to a bias shared by all users.

    Both are linear in the features and in a hidden layer of them; the bias starts at zero.

    Args:
      dim: size of the vector.
      hidden: number of hidden units.
      n_numbers: number of last features that are numbers to standardise.

    Input: `[M, F]` float32, NaN where a number is missing.
    Output: `[M, dim]` and `[M]` float32.
    """

    def __init__(self, dim: int, hidden: int, n_numbers: int, **kwargs):
        super().__init__(**({"dtype": "float32"} | kwargs))
        self.sizes = {"dim": dim, "hidden": hidden, "n_numbers": n_numbers}
        self.numbers = Standardise(n_numbers, name="numbers")
        float32 = {"dtype": "float32"}
        self.hidden = keras.layers.Dense(hidden, "relu", name="hidden", **float32)
        self.match = keras.layers.Dense(dim, name="match", **float32)
        self.prior = keras.layers.Dense(1, kernel_initializer="zeros", name="prior", **float32)

    def call(self, features):
        features = self.numbers(features)
        hidden = tf.concat([features, self.hidden(features)], 1)
        return self.match(hidden), self.prior(hidden)[:, 0]

    def get_config(self):
        return super().get_config() | self.sizes
