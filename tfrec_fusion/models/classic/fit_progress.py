"""Progress of a classic model that is fitted in epochs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class FitProgress:
    """Shows a bar on a terminal, else a line every half minute, on standard error.

    Args:
      name: what is fitted.
      total: number of epochs.
      console: where to print; None for standard error.
      clock: returns seconds from any start.

    Example:
      >>> with FitProgress("iALS", 2) as progress:
      ...     progress.advance()
    """

    EVERY = 30.0

    def __init__(
        self,
        name: str,
        total: int,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._console = console or Console(file=sys.stderr, highlight=False)
        self._name, self._total, self._clock, self._done = name, total, clock, 0
        self._bar: Progress | None = None

    def __enter__(self) -> FitProgress:
        self._started = self._told = self._clock()
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            more = (TextColumn("{task.fields[state]}"), TimeRemainingColumn())
            self._bar = Progress(*columns, *more, console=self._console, transient=True)
            self._task = self._bar.add_task(self._name, total=self._total, state="")
            self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, state: str = "") -> None:
        """Counts an epoch; `state` says more, e.g. the loss."""
        self._done += 1
        now = self._clock()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, state=state)
        elif now - self._told >= self.EVERY:
            self._told = now
            left = (now - self._started) / self._done * (self._total - self._done)
            line = f"{self._name}: epoch {self._done} of {self._total}, about {left:,.0f} s left"
            self._console.print(f"{line}, {state}" if state else line, markup=False, soft_wrap=True)
