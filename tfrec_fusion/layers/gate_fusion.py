"""Fusion by learned gates."""

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion


@keras.utils.register_keras_serializable("tfrec_fusion")
class GateFusion(Fusion):
    """Fuses by a gated sum: `n sum_m g_m * W_m x_m` over the n inputs present.

    The gates g are a softmax over these inputs of `A_m [x_1; x_2; ...]`, per dimension. A row
    without inputs fuses to zero. A is initialised to zero, so the fusion starts as the sum of
    orthogonal projections.

    Use it if the reliability of the id differs between items.
    """

    unknown_id = True

    def build(self, input_shape):
        width = sum(shape[-1] for shape in input_shape.values())
        self.kernels, self.gates = {}, {}
        for name, shape in sorted(input_shape.items()):
            self.kernels[name] = self.add_weight(
                f"kernel_{name}", (shape[-1], self.dim), initializer="orthogonal"
            )
            self.gates[name] = self.add_weight(
                f"gate_{name}", (width, self.dim), initializer="zeros"
            )
        super().build(input_shape)

    def fuse(self, inputs, masks, training):
        everything = tf.concat([inputs[name] for name in self.names], -1)
        scores = tf.stack(
            [tf.tensordot(everything, self.gates[name], 1) for name in self.names], -2
        )
        present = tf.stack([masks[name] for name in self.names], -1)[..., None]
        scores = tf.where(present, tf.cast(scores, tf.float32), -1e9)
        present = tf.cast(present, tf.float32)
        shares = tf.nn.softmax(scores, axis=-2) * present
        shares *= tf.reduce_sum(present, -2, keepdims=True)
        values = tf.stack(
            [tf.tensordot(inputs[name], self.kernels[name], 1) for name in self.names], -2
        )
        return tf.reduce_sum(tf.cast(shares, values.dtype) * values, -2)
