"""A Keras callback that shows the plan and the progress of a training."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tfrec_fusion._compat import keras

_SETTLED, _MEASURED = 2, 8  # steps until tracing is over, and steps of the first estimate


class ProgressBar(keras.callbacks.Callback):
    """Tells the plan before the first step, then shows the progress and the time left.

    The plan names the epochs, their batches and the memory in use. After the first ten steps a line
    says how many examples an epoch has and how long all epochs take at that speed, without what
    comes between them, such as evaluations. On a terminal a bar per epoch has loss, examples/s and
    the time left; elsewhere a line every half minute has them. A finished epoch is a line.

    Numbers of examples come from the model's metric `examples`, a count over the epoch; models
    without it show none.

    Args:
      console: where to print; standard output by default.
      label: text before the number of the epoch.
      every: seconds between two lines if the console is no terminal.
      clock: returns seconds from any start.

    Example:
      >>> bar = tff.training.ProgressBar()
      >>> history = model.fit(batches, epochs=2, callbacks=[bar], verbose=0)
      plan: 2 epochs of ...
    """

    def __init__(
        self,
        console: Console | None = None,
        label: str = "epoch",
        every: float = 30.0,
        clock: Callable[[], float] = time.perf_counter,
    ):
        super().__init__()
        self.console = console or Console()
        self.label = label
        self._every, self._clock = every, clock
        self._bar = None

    def say(self, text: str) -> None:
        """Prints a line, as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def on_train_begin(self, logs=None):
        self._steps = self.params.get("steps")
        self._pace = _Pace(self._clock)
        self._estimated, self._done = False, 0  # steps done in this call of fit
        self._first = None
        if self._steps is not None:
            memory = memory_used()
            held = "" if memory is None else f"; {memory / 2**30:.1f} GiB of memory in use"
            epochs = self.params["epochs"]
            many = f"{epochs} epochs" if epochs != 1 else "1 epoch"
            self.say(f"plan: {many} of {self._steps:,} batches{held}")

    def on_epoch_begin(self, epoch, logs=None):
        self._first = epoch if self._first is None else self._first
        self._started = self._told = self._clock()
        self._before, self._pause = self._done, True
        self._name = f"{self.label} {epoch + 1}/{self.params['epochs']}"
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[state]}"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task(self._name, total=self._steps, state="")
            self._bar.start()

    def on_train_batch_end(self, batch, logs=None):
        self._done = self._before + batch + 1
        self._pace.step(self._done, between=self._pause)
        self._pause = False
        logs = logs or {}
        if not self._estimated and self._pace.steps >= _MEASURED:
            self._estimated = True
            self._estimate(batch + 1, logs)
        now = self._clock()
        if self._bar is not None:
            state = self._state(logs, self._left())
            self._bar.update(self._task, completed=batch + 1, state=state)
        elif not self.console.is_terminal and now - self._told >= self._every:
            self._told = now
            of = "" if self._steps is None else f" of {self._steps:,}"
            state = self._state(logs, self._left())
            self.say(f"{self._name}: {batch + 1:,}{of} batches, {state}")

    def on_epoch_end(self, epoch, logs=None):
        self._stop()
        seconds = self._clock() - self._started
        self.say(f"{self._name}: {self._state(logs or {})}, {seconds:.1f} s")

    def on_train_end(self, logs=None):
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _estimate(self, batches: int, logs) -> None:
        left = self._left()
        if left is None:
            return
        text = f"about {duration(left)} left at {self._pace.seconds:.2g} s a batch"
        if logs.get("examples"):
            count = float(logs["examples"]) / batches * self._steps
            text = f"about {float(f'{count:.2g}'):,.0f} examples an epoch; {text}"
        self.say(f"plan: {text}")

    def _left(self) -> float | None:
        """Seconds of the steps left in all epochs; None if it is unknown."""
        if self._steps is None or not self._pace.steps:
            return None
        total = (self.params["epochs"] - self._first) * self._steps
        return (total - self._done) * self._pace.seconds

    def _state(self, logs, left: float | None = None) -> str:
        parts = []
        if "loss" in logs:
            parts.append(f"loss {logs['loss']:.3f}")
        if "examples" in logs:
            rate = logs["examples"] / max(self._clock() - self._started, 1e-9)
            parts.append(f"{rate:,.0f} examples/s")
        if left is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)


class _Pace:
    """Measures the seconds of a step, without tracing and what lies between epochs."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._last: tuple[float, int] | None = None
        self.steps, self._passed = 0, 0.0

    def step(self, done: int, between: bool) -> None:
        """Counts the steps up to number `done`; `between`: since the last one, an epoch ended."""
        now = self._clock()
        if self._last is not None and not between:
            self.steps += done - self._last[1]
            self._passed += now - self._last[0]
        self._last = (now, done) if done >= _SETTLED else None

    @property
    def seconds(self) -> float:
        """Mean seconds of a step."""
        return self._passed / max(self.steps, 1)


def duration(seconds: float) -> str:
    """Formats seconds as h:mm:ss, or as m:ss below an hour."""
    minutes, seconds = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def memory_used() -> int | None:
    """Bytes of memory that this process holds; where only the peak is known, the peak."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            import resource

            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ImportError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
