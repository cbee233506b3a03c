"""Inputs of a ranker as columns of a query."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import tf

_HALF = 1 << 16  # float32 holds whole numbers of this size, not all of int32


class PackedInputs:
    """Packs tensors of B users into one `[B, columns]` float32, without loss, and back.

    Args:
      example: name -> tensor int32 or float32, `[B]` or `[B, columns]`, of the form of those to
        pack.
    """

    def __init__(self, example: Mapping[str, tf.Tensor]):
        self._forms = {
            name: (one.dtype, one.shape.rank, 1 if one.shape.rank == 1 else int(one.shape[1]))
            for name, one in example.items()
        }

    def pack(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns `[B, columns]` float32."""
        found = []
        for name, (dtype, _, width) in self._forms.items():
            values = tf.reshape(inputs[name], [-1, width])
            if dtype == tf.int32:
                high = values // _HALF
                found += [tf.cast(high, tf.float32), tf.cast(values - high * _HALF, tf.float32)]
            else:
                found.append(values)
        return tf.concat(found, 1)

    def unpack(self, packed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the tensors that were packed."""
        found, begin = {}, 0
        for name, (dtype, rank, width) in self._forms.items():
            values = packed[:, begin : begin + width]
            begin += width
            if dtype == tf.int32:
                low = tf.cast(packed[:, begin : begin + width], tf.int32)
                values, begin = tf.cast(values, tf.int32) * _HALF + low, begin + width
            found[name] = values[:, 0] if rank == 1 else values
        return found
