"""Scores of the items that a request names, in a context."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from tfrec_fusion._compat import tf


class RowServing(tf.Module, ABC):
    """The graph of a model between rows of users and items and the scores of their pairs.

    As of `CatalogueServing`, what it reads are variables of it or of what `scores` calls.

    Attributes:
      numbers, texts: columns of the context.
      reads_users, reads_history: whether it reads users' rows and their histories.
      history_length: how many of the last items of a history it reads.
      context_tables: the tables of `texts`, in order.
    """

    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    reads_users: bool
    reads_history: bool
    history_length: int
    context_tables: list

    @abstractmethod
    def context_rows(self, name: str, values) -> tf.Tensor:
        """Rows int32 of a text column's values, -1 unknown."""

    @abstractmethod
    def scores(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Logits `[B, N]` float32.

        Args:
          inputs: "item" `[B, N]` int32, -1 unknown; where they are read "user" `[B]` int32, and
            "history" `[B, L]` int32, -1 for none, with "history_age" `[B, L]` float32 days; and
            the context, `[B]` float32 or int32 rows.
        """
