"""Layer that turns declared features into fields of equal width."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import check_count


@keras.utils.register_keras_serializable("tfrec_fusion")
class FeatureFields(keras.layers.Layer):
    """Maps the declared features of a side to fields, one a feature with categories.

    Field s is `P_s e_s`, with e_s the pooled embedding of feature s in `SideFeatures`, whose table
    is shared; one more field `P x` is of all numeric columns x. There are no biases, so a feature
    without a value has the field 0.

    Args:
      slots: number of features with categories.
      n_numbers: number of numeric columns; 0 for no field of numbers.
      dim: width of a field.

    Input: pooled embeddings `[..., slots * size]` and numbers `[..., n_numbers]`, float32.
    Output: a list of `slots`, or with numbers `slots + 1`, tensors `[..., dim]` in the compute
      dtype.

    Raises:
      ValueError: counts below 0, a width below 1, or nothing to map.

    Example:
      >>> fields = FeatureFields(slots=2, n_numbers=1, dim=4)
      >>> [tuple(one.shape) for one in fields(tf.ones([5, 2 * 3]), tf.ones([5, 1]))]
      [(5, 4), (5, 4), (5, 4)]
    """

    def __init__(self, slots: int, n_numbers: int, dim: int, **kwargs):
        super().__init__(**kwargs)
        check_count("slots", slots, 0)
        check_count("n_numbers", n_numbers, 0)
        check_count("dim", dim)
        if not (slots or n_numbers):
            raise ValueError("slots or n_numbers must be above 0. Received: 0 and 0")
        self.options = {"slots": slots, "n_numbers": n_numbers, "dim": dim}
        self.maps = [
            keras.layers.Dense(dim, use_bias=False, name=name, dtype=self.dtype_policy)
            for name in [f"field_{slot}" for slot in range(slots)] + ["numbers"] * (n_numbers > 0)
        ]

    def call(self, embedded, numbers):
        parts = tf.split(embedded, self.options["slots"], -1) if self.options["slots"] else []
        if self.options["n_numbers"]:
            parts = [*parts, numbers]
        return [layer(part) for layer, part in zip(self.maps, parts, strict=True)]

    def get_config(self):
        return super().get_config() | self.options
