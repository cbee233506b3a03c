"""Fusion by an activation of a sum of projections."""

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion


@keras.utils.register_keras_serializable("tfrec_fusion")
class AdditiveFusion(Fusion):
    """Fuses by an activation of the summed projections: `sigma(sum_m W_m x_m + b)`.

    W_m is initialised orthogonal and b zero. Use it if the fused vector should be bounded, as for
    two towers compared by cosine.

    Args:
      dim: size of the fused vector.
      activation: sigma. The default "tanh" allows dot products of both signs and is almost linear
        for vectors of length 1.
    """

    unknown_id = True

    def __init__(self, dim: int, activation="tanh", **kwargs):
        super().__init__(dim, **kwargs)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.kernels = {
            name: self.add_weight(f"kernel_{name}", (shape[-1], self.dim), initializer="orthogonal")
            for name, shape in sorted(input_shape.items())
        }
        self.bias = self.add_weight("bias", (self.dim,), initializer="zeros")
        super().build(input_shape)

    def fuse(self, inputs, masks, training):
        parts = [tf.tensordot(inputs[name], self.kernels[name], 1) for name in self.names]
        return self.activation(tf.add_n(parts) + self.bias)

    def get_config(self):
        return super().get_config() | {"activation": keras.activations.serialize(self.activation)}
