"""Base class of the networks over a ranker's features."""

from __future__ import annotations

from tfrec_fusion._compat import keras


class Backbone(keras.layers.Layer):
    """Maps a ranker's features x_0 to a representation.

    A subclass implements `call(x0, training=None)`, creates its weights in `build(input_shape)`,
    and adds its constructor's arguments to `get_config`. Pass it as `Ranker(backbone=...)`; the
    logit is linear in the representation.

    Input: x_0 `[..., width]` in the compute dtype.
    Output: `[..., columns]`, any number of columns.

    Example:
      >>> class Linear(Backbone):
      ...     def call(self, x0, training=None):
      ...         return x0
      >>> Linear()(tf.ones([1, 2, 3])).shape
      TensorShape([1, 2, 3])
    """

    def call(self, x0, training=None):
        raise NotImplementedError
