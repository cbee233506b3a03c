"""Base class of the fusions."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.outputs import checked_output


class Fusion(keras.layers.Layer):
    """Fuses any number of named vectors, each with a mask, into one vector.

    A subclass implements `fuse`. It receives a zero vector for an input that is absent in a row, so
    a missing value never leaks into the output. The input named "id" is the trained id; all others
    are content.

    Attributes:
      projected: whether each content input is projected to `dim` columns before `fuse`; if False,
        content keeps its own number of columns.
      unknown_id: whether one shared trained vector replaces a missing or hidden id, which then
        counts as present; if False, the id is masked.
      frozen_content: whether all content must be frozen vectors, e.g. because `fuse` relies on the
        order of whitened columns; declared features then cannot be an input.

    Args:
      dim: size of the fused vector.

    Input: `inputs`, name -> `[..., d_name]` float, and `masks`, name -> `[...]` bool (a name
      without a mask is present everywhere).
    Output: `[..., dim]` in the compute dtype.

    Raises:
      ValueError: no inputs, other names than those the layer was built with, or an input of a wrong
        size.
    """

    projected = False
    unknown_id = False
    frozen_content = False

    def __init__(self, dim: int, **kwargs):
        super().__init__(**kwargs)
        if dim < 1:
            raise ValueError(f"dim must be at least 1. Received: {dim}")
        self.dim = dim

    @property
    def id_dim(self) -> int:
        """Number of columns of the input "id"."""
        return self.dim

    @property
    def contents(self) -> list[str]:
        """The sorted names of all inputs except "id"."""
        return [name for name in self.names if name != "id"]

    def call(
        self,
        inputs: Mapping[str, tf.Tensor],
        masks: Mapping[str, tf.Tensor] | None = None,
        training: bool | None = None,
    ):
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
        return checked_output(
            f"fusion: {type(self).__name__}.fuse",
            self.fuse(vectors, present, training),
            f"[..., {self.dim}]",
            rank=vectors[self.names[0]].shape.rank,
            columns=self.dim,
        )

    def build(self, input_shape):
        self.names = sorted(input_shape)
        for name in self.names:
            columns = input_shape[name][-1]
            needed = self.id_dim if name == "id" else self.dim
            if (self.projected or name == "id") and columns != needed:
                raise ValueError(f"input {name!r} must have {needed} columns. Received: {columns}")
        super().build(input_shape)

    def fuse(
        self, inputs: dict[str, tf.Tensor], masks: dict[str, tf.Tensor], training: bool | None
    ) -> tf.Tensor:
        """Returns the fused vectors `[..., dim]`; `inputs` are zero where absent."""
        raise NotImplementedError

    def get_config(self):
        return super().get_config() | {"dim": self.dim}
