"""Features with several categories a row."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import PositiveInt

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.kinds.category import frequent
from tfrec_fusion.features.kinds.feature import Feature
from tfrec_fusion.features.kinds.values import tag_lists


class Tags(Feature):
    """A column of lists of texts; the embeddings of a row's tags are pooled to one.

    Tags that are rare or unseen in training are left out; a row without known tags has the
    embedding 0. Of a row with more than `most` tags, the most frequent ones count. Their mean is
    that of the multivalent features of Covington et al. (2016).

    Attributes:
      separator: splits a column of texts into tags, e.g. "|"; None for a column of lists.
      min_count: tags of fewer training rows count as unseen.
      most: largest number of tags of a row.
      pooling: "mean" or "sum" of a row's embeddings; "attention" for a mean whose weights are
        learned: the softmax of the products of the embeddings with a vector of the feature, as in
        hierarchical attention networks (Yang et al. 2016).
      values: the vocabulary, most frequent first; set by `fit`.
      longest: number of category columns; set by `fit`.

    Example:
      >>> frame = pd.DataFrame({"genres": ["Drama|War", "War", None]})
      >>> genres = Tags(column="genres", separator="|").fit(frame, "items")
      >>> genres.encode(frame, "items")[0].tolist()
      [[0, 1], [0, -1], [-1, -1]]
    """

    reads: ClassVar[Literal["tags"]] = "tags"
    kind: Literal["tags"] = "tags"
    separator: str | None = None
    min_count: PositiveInt = 1
    most: PositiveInt = 16
    pooling: Literal["mean", "sum", "attention"] = "mean"
    values: tuple[str, ...] | None = None
    longest: PositiveInt | None = None

    @property
    def width(self) -> int:
        return self.longest or self.most

    @property
    def n_values(self) -> int:
        return len(self.values or ())

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return self.values or ()

    @property
    def pool(self) -> str:
        return self.pooling

    def fit(self, frame: pd.DataFrame, table: str) -> Tags:
        lists = tag_lists(frame, self.column, table, self.separator)
        values = frequent(list(itertools.chain(*lists)), self.min_count)
        if not values:
            raise InputError(
                f"{table}: column {self.column!r} has no tag in {self.min_count} or more of "
                f"{len(frame)} training rows; lower min_count or leave the feature out"
            )
        known = set(values)
        longest = max(sum(tag in known for tag in tags) for tags in lists)
        return self.model_copy(update={"values": values, "longest": min(longest, self.most)})

    def encode(self, frame: pd.DataFrame, table: str) -> tuple[np.ndarray, np.ndarray]:
        row_of = {value: row for row, value in enumerate(self.values or ())}
        rows = np.full((len(frame), self.width), -1, np.int32)
        for place, tags in enumerate(tag_lists(frame, self.column, table, self.separator)):
            known = sorted(row_of[tag] for tag in tags if tag in row_of)[: self.width]
            rows[place, : len(known)] = known
        return rows, self._numbers(frame)

    def encode_tensors(
        self, values: Mapping[str, tf.Tensor], known: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self.encode_rows(known)

    def encode_rows(self, given: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        absent = self.n_values  # sorts behind all rows
        rows = tf.where(given < 0, absent, given)
        rows = tf.sort(tf.pad(rows, [[0, 0], [0, self.width]], constant_values=absent), 1)
        repeated = tf.pad(rows[:, 1:] == rows[:, :-1], [[0, 0], [1, 0]])
        rows = tf.sort(tf.where(repeated, absent, rows), 1)[:, : self.width]
        return tf.where(rows == absent, -1, rows), self._no_columns(given, tf.float32)
