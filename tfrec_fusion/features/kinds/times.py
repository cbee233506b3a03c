"""Features of points in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import field_validator

from tfrec_fusion._compat import tf
from tfrec_fusion.data._times import timestamps
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.kinds.feature import Feature
from tfrec_fusion.features.kinds.values import real_tensor
from tfrec_fusion.times import DAY, LARGEST

_PERIODS = {"hour": DAY, "weekday": 7 * DAY, "season": 365.2425 * DAY}
_PARTS = ("age", *_PERIODS)


class Time(Feature):
    """A column of times: how long ago, and where in the day, the week and the year.

    "age" is `log(1 + days before the latest training time)`, standardised and negative for later
    times; "hour", "weekday" and "season" are each a sine and a cosine, so that midnight follows
    23:59. Times are in UTC. A flag tells missing times, which have zeros.

    Attributes:
      parts: which of "age", "hour", "weekday", "season".
      unit: of numbers: "s", "ms", "us" or "ns"; None takes seconds.
      latest, mean, deviation: set by `fit`.
    """

    reads: ClassVar[Literal["time"]] = "time"
    kind: Literal["time"] = "time"
    parts: tuple[str, ...] = _PARTS
    unit: Literal["s", "ms", "us", "ns"] | None = None
    latest: float = 0.0
    mean: float = 0.0
    deviation: float = 1.0

    @field_validator("parts")
    @classmethod
    def _known_parts(cls, parts):
        unknown = [part for part in parts if part not in _PARTS]
        if unknown or not parts or len(set(parts)) < len(parts):
            raise ValueError(f"must be different ones of {', '.join(_PARTS)}")
        return parts

    @property
    def n_numbers(self) -> int:
        return sum(1 if part == "age" else 2 for part in self.parts) + 1

    def fit(self, frame: pd.DataFrame, table: str) -> Time:
        times = self._times(frame, table)
        times = times[~np.isnan(times)]
        if not len(times):
            raise InputError(
                f"{table}: column {self.column!r} has no time in {len(frame)} training rows; leave "
                "the feature out"
            )
        latest = float(times.max())
        ages = _log_age(times, latest)
        update = {"latest": latest, "mean": float(ages.mean())}
        return self.model_copy(update=update | {"deviation": max(float(ages.std()), 1e-6)})

    def encode(self, frame: pd.DataFrame, table: str) -> tuple[np.ndarray, np.ndarray]:
        times = self._times(frame, table)
        missing = np.isnan(times)
        columns = []
        for part in self.parts:
            if part == "age":
                age = (_log_age(times, self.latest) - self.mean) / self.deviation
                columns.append(np.clip(age, -6, 6))
            else:
                angle = 2 * np.pi * np.mod(times / _PERIODS[part], 1)
                columns += [np.sin(angle), np.cos(angle)]
        known = [np.where(missing, 0.0, column) for column in columns]
        return self._rows(frame), np.stack([*known, missing], 1).astype(np.float32)

    def encode_tensors(
        self, values: Mapping[str, tf.Tensor], known: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        times = values[self.column]
        times, missing = real_tensor(tf.where(tf.abs(times) < LARGEST, times, np.nan))
        turns = {name: times / period for name, period in _PERIODS.items()}
        turns = {name: turn - tf.floor(turn) for name, turn in turns.items()}
        return self._encoded((self.latest - times) / DAY, turns, missing)

    def encode_rows(self, given: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # All periods are whole seconds, so the remainders are exact without float64.
        missing = tf.logical_or(given >= int(LARGEST), given <= -int(LARGEST))
        times = tf.where(missing, tf.zeros_like(given), given)
        ages = tf.cast(int(np.floor(self.latest)) - times, tf.float32) + self.latest % 1
        turns = {
            name: tf.cast(tf.math.floormod(times, int(period)), tf.float32) / period
            for name, period in _PERIODS.items()
        }
        return self._encoded(ages / DAY, turns, missing)

    def _encoded(
        self, days: tf.Tensor, turns: Mapping[str, tf.Tensor], missing: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Columns from days before the latest time, and parts of each period that have passed."""
        columns = []
        for part in self.parts:
            if part == "age":
                age = tf.sign(days) * tf.math.log(1.0 + tf.abs(days))
                age = tf.clip_by_value((age - self.mean) / self.deviation, -6.0, 6.0)
                columns.append(tf.cast(age, tf.float32))
            else:
                angle = 2 * np.pi * tf.cast(turns[part], tf.float32)
                columns += [tf.sin(angle), tf.cos(angle)]
        columns = [tf.where(missing, 0.0, column) for column in columns]
        numbers = tf.stack([*columns, tf.cast(missing, tf.float32)], 1)
        return self._no_columns(missing, tf.int32), numbers

    def _times(self, frame: pd.DataFrame, table: str) -> np.ndarray:
        return timestamps(frame, self.column, table, self.unit, "unit={!r}")


def _log_age(times: np.ndarray, latest: float) -> np.ndarray:
    days = (latest - times) / DAY
    return np.sign(days) * np.log1p(np.abs(days))
