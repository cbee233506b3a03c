"""Numeric features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import PositiveInt

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.kinds.feature import Feature
from tfrec_fusion.features.kinds.values import real_numbers, real_tensor


class Number(Feature):
    """A numeric column, scaled by training rows, with a flag for missing values.

    Numbers are clipped to 6 deviations; a missing one is 0, the mean. Embedded quantile bins are
    those that Gorishniy et al. (2022) compare for numbers.

    Attributes:
      scale: "standard" for (x - mean) / deviation; "log" for the same of sign(x) log(1 + |x|);
        "quantile" embeds `bins` bins of equal training counts as categories; "raw" leaves numbers
        as they are.
      bins: largest number of bins for "quantile".
      mean, deviation: of the training rows; set by `fit`.
      edges: upper limits of all bins but the last; set by `fit`.

    Example:
      >>> frame = pd.DataFrame({"age": [20.0, 40.0, None]})
      >>> Number(column="age").fit(frame, "users").encode(frame, "users")[1].tolist()
      [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """

    reads: ClassVar[Literal["number"]] = "number"
    kind: Literal["number"] = "number"
    scale: Literal["standard", "log", "quantile", "raw"] = "standard"
    bins: PositiveInt = 16
    mean: float = 0.0
    deviation: float = 1.0
    edges: tuple[float, ...] | None = None

    @property
    def width(self) -> int:
        return int(self.scale == "quantile")

    @property
    def n_values(self) -> int:
        return 1 + len(self.edges or ()) if self.scale == "quantile" else 0

    @property
    def n_numbers(self) -> int:
        return 0 if self.scale == "quantile" else 2

    def fit(self, frame: pd.DataFrame, table: str) -> Number:
        values = real_numbers(frame, self.column, table)
        known = values[~np.isnan(values)]
        if not len(known):
            raise InputError(
                f"{table}: column {self.column!r} has no number in {len(frame)} training rows; "
                "leave the feature out"
            )
        if self.scale == "quantile":
            edges = np.unique(np.quantile(known, np.arange(1, self.bins) / self.bins))
            return self.model_copy(update={"edges": tuple(edges.tolist())})
        if self.scale == "raw":
            return self
        known = self._scaled(known)
        deviation = max(float(known.std()), 1e-6)
        return self.model_copy(update={"mean": float(known.mean()), "deviation": deviation})

    def encode(self, frame: pd.DataFrame, table: str) -> tuple[np.ndarray, np.ndarray]:
        values = real_numbers(frame, self.column, table)
        missing = np.isnan(values)
        if self.scale == "quantile":
            # In float32, which is what a `tf.Example` of a request holds.
            rows = np.searchsorted(self._edges, values.astype(np.float32), side="left")
            return np.where(missing, -1, rows).astype(np.int32)[:, None], self._numbers(frame)
        scaled = values if self.scale == "raw" else self._standard(values)
        numbers = np.stack([np.where(missing, 0.0, scaled), missing], 1)
        return self._rows(frame), numbers.astype(np.float32)

    def encode_tensors(
        self, values: Mapping[str, tf.Tensor], known: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self.encode_rows(values[self.column])

    def encode_rows(self, given: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        given, missing = real_tensor(given)
        if self.scale == "quantile":
            above = tf.cast(given, tf.float32)[:, None] > self._edges
            rows = tf.reduce_sum(tf.cast(above, tf.int32), 1)
            return tf.where(missing, -1, rows)[:, None], self._no_columns(given, tf.float32)
        if self.scale == "log":
            given = tf.sign(given) * tf.math.log(1.0 + tf.abs(given))
        if self.scale != "raw":
            given = tf.clip_by_value((given - self.mean) / self.deviation, -6.0, 6.0)
        flag = tf.cast(missing, tf.float32)
        numbers = tf.stack([tf.where(missing, 0.0, tf.cast(given, tf.float32)), flag], 1)
        return self._no_columns(given, tf.int32), numbers

    @property
    def _edges(self) -> np.ndarray:
        return np.asarray(self.edges or (), np.float32)

    def _standard(self, values: np.ndarray) -> np.ndarray:
        return np.clip((self._scaled(values) - self.mean) / self.deviation, -6, 6)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        return np.sign(values) * np.log1p(np.abs(values)) if self.scale == "log" else values
