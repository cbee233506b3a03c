"""The stored users, ranked for an item."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import History, Vocabulary
from tfrec_fusion.export.stored_histories import StoredHistories
from tfrec_fusion.retrieval.stored_items import StoredItems


class Audience(tf.Module):
    """Vectors of all users as of the export, and for each item the users who had it.

    Args:
      vectors: `[U, D]` float32, whose dot product with an item's vector is the score.
      histories: of the U users.
      users: file with their ids, one a line.
      n_items: number of items.
      precision: precision of the vectors, see `StoredItems`.
      apart: number of last columns to store separately, see `StoredItems`.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        histories: History,
        users: Path,
        n_items: int,
        precision: str = "float32",
        apart: int = 0,
    ):
        super().__init__(name="audience")
        ids = Vocabulary.load(users).ids
        self.user_ids = tf.Variable(ids, trainable=False, dtype=tf.string, name="user_ids")
        self.vectors = StoredItems(vectors, precision, apart)
        self.had = StoredHistories(_inverse(histories, n_items), precision)

    @property
    def count(self) -> int:
        """Number of users U."""
        return self.vectors.count

    @property
    def size(self) -> int:
        """Bytes of the numbers stored."""
        return sum(v.shape.num_elements() * v.dtype.size for v in self.variables if v.dtype.size)

    def best(self, items, rows, k) -> dict[str, tf.Tensor]:
        """The users with the best scores who have not had the item.

        Args:
          items: item vectors `[B, D]`.
          rows: their rows `[B]`, -1 for an unknown item, which has no users.
          k: int scalar, from 0 to U.

        Returns:
          "user_id" `[B, k]` string and "score" `[B, k]` float32, padded with "" and the lowest
          finite float32.
        """
        had, _ = self.had.of(rows)
        scores, found = self.vectors.best(items, k, had)
        found = tf.where(rows[:, None] < 0, -1, found)
        ids = tf.gather(self.user_ids.read_value(), tf.maximum(found, 0))
        return {
            "user_id": tf.where(found < 0, "", ids),
            "score": tf.where(found < 0, tf.float32.min, scores),
        }


def _inverse(histories: History, n_items: int) -> History:
    """The users of each item, in the form of histories of the items."""
    users = np.repeat(np.arange(len(histories.lengths), dtype=np.int32), histories.lengths)
    order = np.argsort(histories.items, kind="stable")
    counts = np.bincount(histories.items, minlength=n_items)
    splits = np.concatenate([[0], np.cumsum(counts)]).astype(histories.splits.dtype)
    return History(splits, users[order], np.zeros(len(order), np.uint8))
