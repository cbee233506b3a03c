"""Fusion by a plain sum."""

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion


@keras.utils.register_keras_serializable("tfrec_fusion")
class SumFusion(Fusion):
    """Fuses by the sum of the inputs, each projected to `dim` columns: `sum_m x_m`.

    Use it first: a linear map of the content with the id as a residual (DropoutNet, Volkovs et
    al., NeurIPS 2017, which drops ids in training) loses nothing on warm items, and represents a
    cold item by its content. The other fusions start near this one.

    Raises:
      ValueError: the size of an input differs from `dim`.
    """

    projected = True
    unknown_id = True

    def fuse(self, inputs, masks, training):
        return tf.add_n([inputs[name] for name in self.names])
