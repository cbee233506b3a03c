"""Progress over origins and models: a bar on a terminal, else a line every half minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class OriginProgress:
    """Shows the evaluations done and the time left.

    Args:
      total: number of evaluations that are not done yet.
      console: a rich console; None is standard error, False no output.
      every: seconds between two lines if the console is not a terminal.
      clock: returns seconds from any start.

    Example:
      >>> with OriginProgress(2, console=False) as progress:
      ...     progress.advance("EASE, origin 1/2")
    """

    def __init__(
        self,
        total: int,
        console: Console | bool | None = None,
        every: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        if console is None or console is True:
            console = Console(file=sys.stderr, highlight=False)
        self.console = console or None
        self._total, self._every, self._clock = total, every, clock
        self._done = 0
        self._bar: Progress | None = None

    def __enter__(self) -> OriginProgress:
        self._started = self._told = self._clock()
        if self.console is not None and self.console.is_terminal and self._total:
            columns = (TextColumn("origins"), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[state]}"), console=self.console)
            self._task = self._bar.add_task("origins", total=self._total, state="")
            self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, what: str) -> None:
        """Counts an evaluation; `what` describes it."""
        self._done += 1
        now = self._clock()
        left = (now - self._started) / self._done * (self._total - self._done)
        minutes, seconds = divmod(round(left), 60)
        hours, minutes = divmod(minutes, 60)
        state = f"{what}, {hours}:{minutes:02}:{seconds:02} left"
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, state=state)
        elif self.console is not None and (
            now - self._told >= self._every or self._done == self._total
        ):
            self._told = now
            line = f"evaluated {self._done} of {self._total}: {state}"
            self.console.print(line, markup=False, soft_wrap=True)
