"""Progress of long work: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class WorkProgress:
    """Shows how much of some work is done, its pace and the time left.

    Args:
      what: the work in a word or two, e.g. "encoded".
      total: number of units of work.
      unit: their name in the plural, e.g. "texts".
      done: number of units done before; they do not count in the pace.
      console: a rich console; None is standard error, False no output.
      every: seconds between two lines if the console is not a terminal.
      tell_end: whether short work, which no line told of, has one at its end.
      clock: returns seconds from any start.

    Example:
      >>> with WorkProgress("encoded", 2, "texts", console=False) as progress:
      ...     progress.advance(2)
    """

    def __init__(
        self,
        what: str,
        total: int,
        unit: str,
        *,
        done: int = 0,
        console: Console | bool | None = None,
        every: float = 30.0,
        tell_end: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ):
        if console is None or console is True:
            console = Console(file=sys.stderr, highlight=False)
        self.console = console or None
        self._what, self._unit, self._total = what, unit, total
        self._before, self._done = done, done
        self._every, self._clock = every, clock
        self._bar: Progress | None = None
        self._spoke = tell_end

    def __enter__(self) -> WorkProgress:
        self._started = self._told = self._clock()
        if self.console is not None and self.console.is_terminal and self._total:
            columns = (TextColumn(self._what), BarColumn(), MofNCompleteColumn())
            state = TextColumn("{task.fields[state]}", markup=False)
            self._bar = Progress(*columns, state, console=self.console, transient=True)
            self._task = self._bar.add_task("", total=self._total, completed=self._done, state="")
            self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int = 1, state: str = "", share: float | None = None) -> None:
        """Counts units that are done.

        Args:
          count: their number.
          state: what else to say, e.g. the loss.
          share: how much of all work is done, in (0, 1], where units take unlike times.
        """
        self._done += count
        now = self._clock()
        passed = max(now - self._started, 1e-9)
        if share is None:
            new = max(self._done - self._before, 1)
            share = new / max(self._total - self._before, new)
        minutes, seconds = divmod(round(passed * (1 / max(share, 1e-9) - 1)), 60)
        hours, minutes = divmod(minutes, 60)
        pace = (self._done - self._before) / passed
        paced = f"{pace:,.0f} {self._unit}/s, " if pace >= 1 else ""
        state = f"{paced}{hours}:{minutes:02}:{seconds:02} left{state and f', {state}'}"
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, state=state)
        elif self.console is not None and (
            now - self._told >= self._every or (self._spoke and self._done >= self._total)
        ):
            self._told, self._spoke = now, True
            self.console.print(
                f"{self._what} {self._done:,} of {self._total:,} {self._unit}, {state}",
                markup=False,
                soft_wrap=True,
            )
