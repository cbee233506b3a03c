"""What a batch of requests allows to come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfrec_fusion._compat import tf


@dataclass(frozen=True)
class Restriction:
    """A condition on the items for each of B requests, for the whole catalogue or for some items.

    Attributes:
      used: scalar bool tensor, whether it forbids anything to any request. Where it is False the
        whole catalogue is not looked at.
      dense: gives bool that broadcasts to `[B, N]`, True where an item may come back.
      of: from rows `[B, M]` int32, each from 0 to N - 1, to bool `[B, M]`.
    """

    used: tf.Tensor
    dense: Callable[[], tf.Tensor]
    of: Callable[[tf.Tensor], tf.Tensor]

    @classmethod
    def all_of(cls, parts: Sequence[Restriction], batch) -> Restriction:
        """What all parts allow.

        Args:
          batch: B, for where there are no parts.
        """

        def dense():
            allowed = tf.ones([batch, 1], tf.bool)
            for part in parts:
                allowed &= tf.cond(part.used, part.dense, lambda: tf.ones([1, 1], tf.bool))
            return allowed

        def of(rows):
            allowed = tf.ones_like(rows, tf.bool)
            for part in parts:
                allowed &= part.of(rows)
            return allowed

        used = tf.constant(False)
        for part in parts:
            used |= part.used
        return cls(used, dense, of)
