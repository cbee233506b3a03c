"""What every fusion of named inputs has in common."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import keras, tf


class Fusion(keras.layers.Layer):
    """Fuses any number of named vectors, each with a mask, into one.

    A subclass implements `fuse`. An input that is absent in a row reaches it as a zero vector, so a
    missing value never leaks into the output.

    Args:
      dim: size of the fused vector.

    Input: `inputs`, name -> `[..., d_name]` float, and `masks`, name -> `[...]` bool (a name
      without a mask is present everywhere).
    Output: `[..., dim]` in the compute dtype.

    Raises:
      ValueError: no inputs, or names that differ from those the layer was built with.
    """

    def __init__(self, dim: int, **kwargs):
        super().__init__(**kwargs)
        if dim < 1:
            raise ValueError(f"dim must be at least 1. Received: {dim}")
        self.dim = dim

    def call(self, inputs: Mapping[str, tf.Tensor], masks: Mapping[str, tf.Tensor] | None = None):
        if not inputs:
            raise ValueError("inputs must name at least one vector. Received: {}")
        if sorted(inputs) != self.names:
            raise ValueError(f"inputs must be {self.names}. Received: {sorted(inputs)}")
        masks = masks or {}
        present, vectors = {}, {}
        for name in self.names:
            vector = tf.cast(inputs[name], self.compute_dtype)
            mask = masks.get(name)
            if mask is None:
                mask = tf.ones(tf.shape(vector)[:-1], tf.bool)
            present[name] = mask
            vectors[name] = tf.where(mask[..., None], vector, tf.zeros([], vector.dtype))
        return self.fuse(vectors, present)

    def build(self, input_shape):
        self.names = sorted(input_shape)
        super().build(input_shape)

    def fuse(self, inputs: dict[str, tf.Tensor], masks: dict[str, tf.Tensor]) -> tf.Tensor:
        """The fused vector; `inputs` are zero where absent."""
        raise NotImplementedError

    def get_config(self):
        return super().get_config() | {"dim": self.dim}
