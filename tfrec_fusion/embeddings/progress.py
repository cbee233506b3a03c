"""Progress of encoding: a bar on a terminal, else a line every few seconds."""

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class EncodingProgress:
    """Shows the texts done, texts per second and time left.

    The time left is estimated from characters, since long texts take longer and come first.

    Args:
      total: number of texts to encode.
      characters: number of characters of all texts.
      console: a rich console; None is standard error, False no output.
      every: seconds between two lines if the console is not a terminal.
      clock: returns seconds from any start.

    Example:
      >>> with EncodingProgress(2, 10, console=False) as progress:
      ...     progress.advance(2, 10)
    """

    def __init__(
        self,
        total: int,
        characters: int,
        console: Console | bool | None = None,
        every: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        if console is None or console is True:
            console = Console(file=sys.stderr, highlight=False)
        self.console = console or None
        self._total, self._characters = total, max(characters, 1)
        self._every, self._clock = every, clock
        self._done = self._done_characters = 0
        self._bar: Progress | None = None

    def __enter__(self) -> "EncodingProgress":
        self._started = self._told = self._clock()
        if self.console is not None and self.console.is_terminal and self._total:
            columns = (TextColumn("encoding"), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[pace]}"), console=self.console)
            self._task = self._bar.add_task("encoding", total=self._total, pace="")
            self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, texts: int, characters: int) -> None:
        """Counts encoded texts and their characters."""
        self._done += texts
        self._done_characters += characters
        now = self._clock()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, pace=self._pace(now))
        elif self.console is not None and (
            now - self._told >= self._every or self._done == self._total
        ):
            self._told = now
            self.console.print(
                f"encoded {self._done:,} of {self._total:,} texts, {self._pace(now)}",
                markup=False,
                soft_wrap=True,
            )

    def _pace(self, now: float) -> str:
        passed = max(now - self._started, 1e-9)
        left = passed * (self._characters / max(self._done_characters, 1) - 1)
        minutes, seconds = divmod(round(max(left, 0.0)), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{self._done / passed:,.0f} texts/s, {hours}:{minutes:02}:{seconds:02} left"
