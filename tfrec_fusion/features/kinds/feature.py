"""Interface of the declared features of items and users."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator

from tfrec_fusion._compat import tf
from tfrec_fusion.features.kinds.one_line import OneLineErrors

NOT_GIVEN = -2
"""Stands for a missing text among rows of texts, as -1 stands for an unknown one."""


def no_id(column: str) -> str:
    """Returns the column's name; raises ValueError for a column of ids."""
    if column in ("item_id", "user_id"):
        raise ValueError(
            "ids are inputs of a model without a feature: it embeds them itself (options use_ids "
            "and user of TwoTower, use_ids of Ranker); leave the feature out, or rename a column "
            "of other ids"
        )
    return column


class Feature(BaseModel, ABC, metaclass=OneLineErrors):
    """A column of a table that a model reads, and what was learned of it from training rows.

    `fit` returns a copy with the learned fields set; only a fitted feature can `encode`. A feature
    gives columns of category rows, of numbers, or both.

    Attributes:
      column: name of the table's column.
      reads: what a request gives for each of `columns`: a "text", a list of texts ("tags"), a
        "number", or a "time" in unix seconds; None if a request gives nothing.
    """

    reads: ClassVar[Literal["text", "tags", "number", "time"] | None] = "text"

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    column: str = Field(min_length=1)

    @field_validator("column")
    @classmethod
    def _no_id(cls, column):
        return no_id(column)

    @property
    def name(self) -> str:
        """The feature's name in tables and reports."""
        return self.column

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it reads."""
        return (self.column,)

    @property
    def width(self) -> int:
        """Number of category columns."""
        return 0

    @property
    def n_values(self) -> int:
        """Number of category rows, which are 0 to `n_values - 1`."""
        return 0

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The texts that `encode_tensors` looks up; empty without a vocabulary."""
        return ()

    @property
    def n_numbers(self) -> int:
        """Number of numeric columns."""
        return 0

    @property
    def pool(self) -> str:
        """How the embeddings of the category columns are combined: "sum", "mean" or "attention"."""
        return "sum"

    @abstractmethod
    def fit(self, frame: pd.DataFrame, table: str) -> Self:
        """Returns a copy fitted on training rows.

        Args:
          frame: the training rows, with `columns`.
          table: name of the table in errors.

        Raises:
          InputError: the column holds other values than this kind of feature reads, or none.
        """

    @abstractmethod
    def encode(self, frame: pd.DataFrame, table: str) -> tuple[np.ndarray, np.ndarray]:
        """Encodes rows.

        Args:
          frame: n rows, with `columns`.
          table: name of the table in errors.

        Returns:
          Category rows `[n, width]` int32, -1 for a missing value or padding, and numbers
          `[n, n_numbers]` float32, finite.

        Raises:
          InputError: the column holds values of another kind than in training.
        """

    @abstractmethod
    def encode_tensors(
        self, values: Mapping[str, tf.Tensor], known: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Encodes B requests inside a graph, equal to `encode` of the same values.

        Args:
          values: column -> string `[B]` ("" is missing), string `[B, W]` ("" pads) or float64
            `[B]` (NaN is missing), by `reads`.
          known: positions in `vocabulary` of the texts of `column`, int32 in their shape, -1
            unknown; None without a vocabulary.

        Returns:
          As `encode`.
        """

    def encode_rows(self, given: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Encodes the same for runtimes without texts and float64, e.g. LiteRT.

        Args:
          given: for a text, its position in `vocabulary` or the row of its hash `[B]` int32: -1 for
            another text, `NOT_GIVEN` for a missing one; for tags, such positions `[B, W]`, where
            -1 pads; a number `[B]` float32, NaN for a missing one; or a time `[B]` int64 in unix
            seconds, of which those beyond the year 5138 are missing.

        Returns:
          As `encode`.

        Raises:
          NotImplementedError: a request gives nothing for this feature.
        """
        raise NotImplementedError

    def _rows(self, frame: pd.DataFrame) -> np.ndarray:
        return np.zeros((len(frame), 0), np.int32)

    def _numbers(self, frame: pd.DataFrame) -> np.ndarray:
        return np.zeros((len(frame), 0), np.float32)

    def _no_columns(self, values: tf.Tensor, dtype) -> tf.Tensor:
        return tf.zeros([tf.shape(values)[0], 0], dtype)
