"""Plans a training that fits into a time budget."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import NamedTuple

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.training.progress import duration

_SETTLED, _LEAST, _SHARE = 2, 10, 0.02  # steps not timed, steps timed, share of the budget
_USED = 0.95  # of the time left is planned, for what is between the epochs
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smh])")


def seconds_of(value: str | float) -> float:
    """Returns the seconds of a time budget.

    Args:
      value: a number of seconds, or a text such as "90s", "20m" or "1h30m"; a text of digits is
        seconds too.

    Raises:
      ValueError: it has another form, or is not positive.

    Example:
      >>> seconds_of("1h30m")
      5400.0
    """
    if isinstance(value, str):
        text = value.strip().lower()
        parts = _PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
        else:
            try:
                seconds = float(text)
            except ValueError:
                raise ValueError(
                    "must be seconds, or a time such as '90s', '20m', '1h30m'"
                ) from None
    else:
        seconds = float(value)
    if not 0 < seconds < float("inf"):
        raise ValueError("must be above 0")
    return seconds


class BudgetError(InputError):
    """A time budget is too short for any training."""


class BudgetPlan(NamedTuple):
    """A training that fits into a time budget.

    Attributes:
      steps_per_epoch: batches of an epoch; None for all.
      seconds_per_step: as measured.
    """

    steps_per_epoch: int | None
    seconds_per_step: float

    def told(self, budget: float, epochs: int, batches: int) -> str:
        """Says what was planned, of epochs with so many batches."""
        pace = f"{self.seconds_per_step:.2g} s a batch"
        if self.steps_per_epoch is None:
            takes = duration(epochs * batches * self.seconds_per_step)
            return f"time budget {duration(budget)}: all examples take about {takes}, {pace}"
        return (
            f"time budget {duration(budget)}: at {pace}, an epoch takes {self.steps_per_epoch:,} "
            f"of {batches:,} batches, drawn anew each time"
        )


def plan_budget(
    model: keras.Model,
    batches: tf.data.Dataset,
    compiled: Callable[[keras.Model, int], None],
    *,
    epochs: int,
    budget: float,
    started: float,
) -> BudgetPlan:
    """Times the first steps of a training, undoes them, and plans its length.

    Args:
      model: before its first step; it keeps its weights.
      batches: the examples of an epoch.
      compiled: compiles the model for a number of steps.
      epochs: of the training.
      budget: seconds from `started` on.
      started: the reading of `time.perf_counter` at which the budget began.

    Raises:
      BudgetError: the budget ends before a step of each epoch is done.
    """
    weights, begin = model.get_weights(), time.perf_counter()
    compiled(model, epochs * len(batches))
    timer = _Timer(budget * _SHARE)
    model.fit(batches, verbose=0, callbacks=[timer])
    model.set_weights(weights)
    # Compiled anew, the model is traced once more.
    left = budget - (time.perf_counter() - started) - (timer.first - begin)
    steps = int(max(left, 0.0) * _USED / timer.seconds)
    if steps < epochs:
        raise BudgetError(
            f"time_budget: preparing takes {time.perf_counter() - started:.0f} s and a step "
            f"{timer.seconds:.2g} s, so no training fits; pass a larger one. Received: {budget:g} s"
        )
    whole = steps >= epochs * len(batches)
    return BudgetPlan(None if whole else steps // epochs, timer.seconds)


class _Timer(keras.callbacks.Callback):
    """Times steps, input included, and ends the training after enough of them."""

    def __init__(self, least_seconds: float):
        super().__init__()
        self._least, self._times = least_seconds, []
        self.first = 0.0

    def on_train_batch_end(self, batch, logs=None):
        self._times.append(time.perf_counter())
        self.first = self._times[0]
        timed = len(self._times) - _SETTLED
        passed = self._times[-1] - self._times[min(_SETTLED, len(self._times)) - 1]
        if timed >= _LEAST and passed >= self._least:
            self.model.stop_training = True

    @property
    def seconds(self) -> float:
        """Mean seconds of a step; the first ones do not count if there are others."""
        times = self._times[min(_SETTLED, len(self._times) - 1) - 1 :] if self._times[1:] else None
        if times is None:
            return 1e-3
        return max((times[-1] - times[0]) / max(len(times) - 1, 1), 1e-6)
