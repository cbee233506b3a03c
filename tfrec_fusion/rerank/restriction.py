"""Restrictions: which items each request of a batch allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfrec_fusion._compat import tf


@dataclass(frozen=True)
class Restriction:
    """A condition on items for each of B requests, over the whole catalogue or for given items.

    Attributes:
      used: scalar bool tensor, whether it excludes anything for any request. If False, `dense` is
        not computed.
      dense: function that returns bools that broadcast to `[B, N]`, True for allowed items.
      of: function from item rows `[B, M]` int32, each in [0, N), to bool `[B, M]`.
    """

    used: tf.Tensor
    dense: Callable[[], tf.Tensor]
    of: Callable[[tf.Tensor], tf.Tensor]

    @classmethod
    def all_of(cls, parts: Sequence[Restriction], batch) -> Restriction:
        """Returns the conjunction of all parts.

        Args:
          parts: restrictions of the same requests.
          batch: B, the number of requests.
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
