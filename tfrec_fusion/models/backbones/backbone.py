"""What every network over a ranker's features has in common."""

from __future__ import annotations

from tfrec_fusion._compat import keras


class Backbone(keras.layers.Layer):
    """Makes a representation of a ranker's features x_0.

    A subclass implements `call(x0, training=None)`, makes its weights in `build(input_shape)`, and
    puts the arguments of its constructor into its `get_config`. A `Ranker` takes it by
    `backbone=`, and reads its logit linearly off the representation.

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
