"""Categorical features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import PositiveInt

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.kinds.feature import NOT_GIVEN, Feature
from tfrec_fusion.features.kinds.hashing import bucket_tensor, hash_rows
from tfrec_fusion.features.kinds.values import category_texts


class Category(Feature):
    """A column of one category a row, embedded.

    Values that are rare or unseen in training share one row; a missing value has the embedding 0.
    Hashing is that of Weinberger et al. (2009).

    Attributes:
      min_count: values with fewer training rows count as unseen.
      hash_buckets: maps texts to this many rows by a hash instead of a vocabulary, for columns with
        very many values; None for a vocabulary.
      values: the vocabulary, most frequent first; set by `fit`.

    Example:
      >>> frame = pd.DataFrame({"brand": ["a", "b", "a", None]})
      >>> Category(column="brand").fit(frame, "items").encode(frame, "items")[0].ravel().tolist()
      [1, 2, 1, -1]
    """

    kind: Literal["category"] = "category"
    min_count: PositiveInt = 1
    hash_buckets: PositiveInt | None = None
    values: tuple[str, ...] | None = None

    @property
    def width(self) -> int:
        return 1

    @property
    def n_values(self) -> int:
        return 1 + (self.hash_buckets or len(self.values or ()))

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return self.values or ()

    def fit(self, frame: pd.DataFrame, table: str) -> Category:
        texts = category_texts(frame, self.column, table)
        values = frequent([text for text in texts if text is not None], self.min_count)
        if not values:
            raise InputError(
                f"{table}: column {self.column!r} has no category in {self.min_count} or more of "
                f"{len(frame)} training rows; lower min_count or leave the feature out"
            )
        return self.model_copy(update={"values": () if self.hash_buckets else values})

    def encode(self, frame: pd.DataFrame, table: str) -> tuple[np.ndarray, np.ndarray]:
        texts = category_texts(frame, self.column, table)
        return self.rows_of(texts)[:, None], self._numbers(frame)

    def encode_tensors(
        self, values: Mapping[str, tf.Tensor], known: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        texts = values[self.column]
        if self.hash_buckets:
            known = bucket_tensor(texts, self.hash_buckets)
        return self.encode_rows(tf.where(texts != "", known, NOT_GIVEN))

    def encode_rows(self, given: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.maximum(1 + given, -1)
        return rows[:, None], self._no_columns(given, tf.float32)

    def rows_of(self, texts: np.ndarray) -> np.ndarray:
        """Returns the rows `[n]` int32 of texts, None for missing."""
        return category_rows(texts, self.values or (), self.hash_buckets)


def frequent(texts: list[str], min_count: int) -> tuple[str, ...]:
    """Returns the distinct texts that occur `min_count` times, most frequent first, then A to Z."""
    counts = pd.Series(texts, dtype=object).value_counts()
    counts = counts[counts >= min_count]
    return tuple(sorted(counts.index, key=lambda text: (-counts[text], text)))


def category_rows(
    texts: np.ndarray, values: tuple[str, ...], hash_buckets: int | None
) -> np.ndarray:
    """Returns rows `[n]` int32: 1 and up for known texts, 0 for others, -1 for None."""
    missing = np.array([text is None for text in texts], bool)
    if hash_buckets:
        rows = 1 + hash_rows(["" if text is None else text for text in texts], hash_buckets)
    else:
        rows = 1 + pd.Index(values, dtype=object).get_indexer(texts)
    return np.where(missing, -1, rows).astype(np.int32)
