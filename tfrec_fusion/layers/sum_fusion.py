"""Fusion by a plain sum."""

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion


@keras.utils.register_keras_serializable("tfrec_fusion")
class SumFusion(Fusion):
    """`sum_m x_m`: each input already has `dim` columns and adds its part.

    Pick it first: a linear map of the content with the id as a residual on it (DropoutNet, Volkovs
    et al., NeurIPS 2017, where ids are dropped in training) loses nothing on warm items, and a cold
    item is its content. The other fusions start as this one.

    Raises:
      ValueError: an input has another size than `dim`.
    """

    projected = True
    unknown_id = True

    def fuse(self, inputs, masks, training):
        return tf.add_n([inputs[name] for name in self.names])
