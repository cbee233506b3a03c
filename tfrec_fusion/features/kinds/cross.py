"""Crossed categorical features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, PositiveInt, field_validator

from tfrec_fusion._compat import tf
from tfrec_fusion.features.kinds.feature import NOT_GIVEN, Feature, no_id
from tfrec_fusion.features.kinds.hashing import bucket_tensor, hash_rows
from tfrec_fusion.features.kinds.values import category_texts


class Cross(Feature):
    """The combination of several categorical columns, hashed to rows and embedded.

    A row that lacks one of the values has the embedding 0. These are the cross-product features of
    Wide & Deep (Cheng et al. 2016).

    Attributes:
      column: name of the feature.
      of: names of the columns, two or more.
      hash_buckets: number of rows of the embedding.

    Example:
      >>> frame = pd.DataFrame({"country": ["de", "fr", None], "device": ["tv", "tv", "tv"]})
      >>> cross = Cross(column="where", of=("country", "device"), hash_buckets=100)
      >>> rows = cross.fit(frame, "users").encode(frame, "users")[0].ravel()
      >>> bool(rows[0] != rows[1]), int(rows[2])
      (True, -1)
    """

    kind: Literal["cross"] = "cross"
    of: tuple[str, ...] = Field(min_length=2)
    hash_buckets: PositiveInt = 1000

    @field_validator("of")
    @classmethod
    def _no_ids(cls, of):
        return tuple(map(no_id, of))

    @property
    def columns(self) -> tuple[str, ...]:
        return self.of

    @property
    def width(self) -> int:
        return 1

    @property
    def n_values(self) -> int:
        return self.hash_buckets

    def fit(self, frame: pd.DataFrame, table: str) -> Cross:
        for column in self.of:
            category_texts(frame, column, table)
        return self

    def encode(self, frame: pd.DataFrame, table: str) -> tuple[np.ndarray, np.ndarray]:
        parts = [category_texts(frame, column, table) for column in self.of]
        missing = np.array([any(text is None for text in row) for row in zip(*parts, strict=True)])
        # A separator that no text of a table holds keeps ("a", "bc") and ("ab", "c") apart.
        joined = ["\0".join(text or "" for text in row) for row in zip(*parts, strict=True)]
        rows = np.where(missing, -1, hash_rows(joined, self.hash_buckets))
        return rows.astype(np.int32)[:, None], self._numbers(frame)

    def encode_tensors(
        self, values: Mapping[str, tf.Tensor], known: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        parts = [values[column] for column in self.of]
        joined = tf.strings.join(parts, "\0")
        complete = tf.reduce_all(tf.stack([part != "" for part in parts]), 0)
        return self.encode_rows(
            tf.where(complete, bucket_tensor(joined, self.hash_buckets), NOT_GIVEN)
        )

    def encode_rows(self, given: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.maximum(given, -1)[:, None], self._no_columns(given, tf.float32)
