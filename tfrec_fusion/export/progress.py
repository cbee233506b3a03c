"""Progress of work over users: a bar on a terminal, else a line every half minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class UserProgress:
    """Shows the users done, users per second and the time left.

    Args:
      total: number of users.
      done: number of users that are done already; they do not count in the pace.
      console: a rich console; None is standard error, False no output.
      every: seconds between two lines if the console is not a terminal.
      clock: returns seconds from any start.

    Example:
      >>> with UserProgress(2, console=False) as progress:
      ...     progress.advance(2)
    """

    def __init__(
        self,
        total: int,
        done: int = 0,
        console: Console | bool | None = None,
        every: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        if console is None or console is True:
            console = Console(file=sys.stderr, highlight=False)
        self.console = console or None
        self._total, self._before, self._done = total, done, done
        self._every, self._clock = every, clock
        self._bar: Progress | None = None

    def __enter__(self) -> UserProgress:
        self._started = self._told = self._clock()
        if self.console is not None and self.console.is_terminal:
            columns = (TextColumn("recommending"), BarColumn(), MofNCompleteColumn())
            pace = TextColumn("users{task.fields[pace]}")
            self._bar = Progress(*columns, pace, console=self.console, transient=True)
            self._task = self._bar.add_task("", total=self._total, completed=self._done, pace="")
            self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, users: int) -> None:
        """Counts users that are done."""
        self._done += users
        now = self._clock()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, pace=f", {self._pace(now)}")
        elif self.console is not None and now - self._told >= self._every:
            self._told = now
            self.console.print(
                f"recommended to {self._done:,} of {self._total:,} users, {self._pace(now)}",
                markup=False,
                soft_wrap=True,
            )

    def _pace(self, now: float) -> str:
        pace = (self._done - self._before) / max(now - self._started, 1e-9)
        minutes, seconds = divmod(round((self._total - self._done) / max(pace, 1e-9)), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{pace:,.0f} users/s, {hours}:{minutes:02}:{seconds:02} left"
