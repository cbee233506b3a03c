"""Fusion by a plain sum."""

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion


@keras.utils.register_keras_serializable("tfrec_fusion")
class SumFusion(Fusion):
    """`sum_m x_m`: each input already has `dim` columns and adds its part.

    Pick it when every input comes projected to one space, as a residual on frozen content does.

    Raises:
      ValueError: an input has another size than `dim`.
    """

    def build(self, input_shape):
        for name, shape in input_shape.items():
            if shape[-1] != self.dim:
                raise ValueError(
                    f"input {name!r} must have {self.dim} columns. Received: {shape[-1]}"
                )
        super().build(input_shape)

    def fuse(self, inputs, masks):
        return tf.add_n([inputs[name] for name in self.names])
