"""Fusion by concatenation."""

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion


@keras.utils.register_keras_serializable("tfrec_fusion")
class ConcatFusion(Fusion):
    """Fuses by a linear map of inputs and masks: `W [x_1; m_1; x_2; m_2; ...] + b`.

    Each mask is one column. W is initialised orthogonal for each input and zero for the masks.

    Use it if inputs differ in size and a linear map is enough; the mask columns let the model learn
    a bias for an absent input.
    """

    def build(self, input_shape):
        widths = [shape[-1] for _, shape in sorted(input_shape.items())]

        def blocks(shape, dtype=None):
            columns = []
            for width in widths:
                columns += [
                    keras.initializers.Orthogonal()((width, shape[1]), dtype),
                    tf.zeros((1, shape[1]), dtype),
                ]
            return tf.concat(columns, 0)

        width = sum(widths) + len(widths)
        self.kernel = self.add_weight("kernel", (width, self.dim), initializer=blocks)
        self.bias = self.add_weight("bias", (self.dim,), initializer="zeros")
        super().build(input_shape)

    def fuse(self, inputs, masks, training):
        columns = []
        for name in self.names:
            columns += [inputs[name], tf.cast(masks[name][..., None], self.compute_dtype)]
        return tf.tensordot(tf.concat(columns, -1), self.kernel, 1) + self.bias
