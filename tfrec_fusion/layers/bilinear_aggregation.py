"""Bilinear aggregation of two streams, of FinalMLP."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import check_count


@keras.utils.register_keras_serializable("tfrec_fusion")
class BilinearAggregation(keras.layers.Layer):
    """Computes `a_h' W_h b_h` of each head h of two vectors a and b.

    Mao et al., "FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction", AAAI 2023.

    Args:
      heads: number of heads that a and b are split into.

    Input: a list of a and b, `[..., width]` float, each width a multiple of `heads`.
    Output: `[..., heads]`.

    Raises:
      ValueError: a width is no multiple of `heads`.

    Example:
      >>> BilinearAggregation(2)([tf.ones([3, 4]), tf.ones([3, 6])]).shape
      TensorShape([3, 2])
    """

    def __init__(self, heads: int = 1, **kwargs):
        super().__init__(**kwargs)
        check_count("heads", heads)
        self.heads = heads

    def build(self, input_shape):
        widths = [shape[-1] for shape in input_shape]
        if any(width % self.heads for width in widths):
            raise ValueError(
                f"both widths must be multiples of heads. Received: {widths} and {self.heads}"
            )
        one, other = (width // self.heads for width in widths)
        limit = (6 / (one + other)) ** 0.5  # Glorot's, of one head
        self.kernel = self.add_weight(
            "kernel",
            (self.heads, one, other),
            initializer=keras.initializers.RandomUniform(-limit, limit),
        )
        super().build(input_shape)

    def call(self, inputs):
        one, other = (self._split(values) for values in inputs)
        # A product and no einsum: onnxruntime crashes in one of nothing, as of an empty list.
        mapped = tf.squeeze(tf.matmul(tf.expand_dims(one, -2), self.kernel), -2)
        return tf.reduce_sum(mapped * other, -1)

    def _split(self, values):
        shape = [self.heads, values.shape[-1] // self.heads]
        return tf.reshape(values, tf.concat([tf.shape(values)[:-1], shape], 0))

    def get_config(self):
        return super().get_config() | {"heads": self.heads}
