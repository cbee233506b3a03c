"""Fusion by learned shares."""

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion


@keras.utils.register_keras_serializable("tfrec_fusion")
class GateFusion(Fusion):
    """`sum_m g_m * W_m x_m`, g the softmax over the inputs present of `A_m [x_1; x_2; ...]`.

    The shares are per dimension and sum to one over the inputs that a row has; a row that has none
    fuses to zero. Pick it when items differ in how much their id can be trusted.
    """

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

    def fuse(self, inputs, masks):
        everything = tf.concat([inputs[name] for name in self.names], -1)
        scores = tf.stack(
            [tf.tensordot(everything, self.gates[name], 1) for name in self.names], -2
        )
        present = tf.stack([masks[name] for name in self.names], -1)[..., None]
        scores = tf.where(present, tf.cast(scores, tf.float32), -1e9)
        shares = tf.nn.softmax(scores, axis=-2) * tf.cast(present, tf.float32)
        values = tf.stack(
            [tf.tensordot(inputs[name], self.kernels[name], 1) for name in self.names], -2
        )
        return tf.reduce_sum(tf.cast(shares, values.dtype) * values, -2)
