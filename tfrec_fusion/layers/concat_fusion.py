"""Fusion by concatenation."""

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion


@keras.utils.register_keras_serializable("tfrec_fusion")
class ConcatFusion(Fusion):
    """`W [x_1; m_1; x_2; m_2; ...] + b`, with each input's mask as a column of its own.

    Pick it when inputs differ in size and a linear map of all of them is enough; the mask columns
    let the bias of an absent input be learned.
    """

    def build(self, input_shape):
        width = sum(shape[-1] + 1 for shape in input_shape.values())
        self.kernel = self.add_weight("kernel", (width, self.dim), initializer="glorot_uniform")
        self.bias = self.add_weight("bias", (self.dim,), initializer="zeros")
        super().build(input_shape)

    def fuse(self, inputs, masks):
        columns = []
        for name in self.names:
            columns += [inputs[name], tf.cast(masks[name][..., None], self.compute_dtype)]
        return tf.tensordot(tf.concat(columns, -1), self.kernel, 1) + self.bias
