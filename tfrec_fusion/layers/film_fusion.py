"""Fusion where content scales and shifts the id."""

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion


@keras.utils.register_keras_serializable("tfrec_fusion")
class FilmFusion(Fusion):
    """Scales and shifts the id (FiLM): `(1 + W c) * id + c`, c the sum of projected content.

    W is initialised to zero, so the fusion starts as the sum. An item without an id is its content
    alone, one without content its id alone.

    Use it if content tells which dimensions of an id to trust, and a sum is not enough.
    Source: FiLM, Perez et al., AAAI 2018.
    """

    projected = True

    def build(self, input_shape):
        self.kernel = self.add_weight("kernel", (self.dim, self.dim), initializer="zeros")
        super().build(input_shape)

    def fuse(self, inputs, masks, training):
        if not self.contents:
            return inputs["id"]
        content = tf.add_n([inputs[name] for name in self.contents])
        if "id" not in inputs:
            return content
        return inputs["id"] * (1 + tf.tensordot(content, self.kernel, 1)) + content
