"""Report on a window of requests."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from tfrec_fusion.monitoring.figure import Figure

_ORDER = ("ok", "few", "warn", "alert")
_STYLES = {"warn": "yellow", "alert": "bold red", "few": "dim"}
_WIDTH = 110


@dataclass(frozen=True)
class Report:
    """Figures of a window of requests, compared with the reference; Rich prints it as a table.

    Attributes:
      version: folder of the version.
      rows: number of requests in the window, one row per user.
      begin, end: unix times of the first and last request, or None.
      signatures: signature -> rows.
      min_rows: a figure of fewer rows is not checked against its limits.
      figures: all figures.
      notes: what was left out and why.
      histograms: name -> {"edges" or "values", "reference", "requests"}: counts in the same bins.
      samples: name -> values of the window, for TensorBoard.
    """

    version: Path
    rows: int
    begin: float | None
    end: float | None
    signatures: dict[str, int]
    min_rows: int
    figures: Sequence[Figure]
    notes: Sequence[str]
    histograms: dict[str, dict] = field(repr=False)
    samples: dict[str, np.ndarray] = field(repr=False)

    @property
    def state(self) -> str:
        """Worst state of the figures: "alert", "warn" or "ok"; "few" if all have too few rows."""
        states = {figure.state for figure in self.figures}
        if states <= {"few"}:
            return "few"
        return max(states - {"few"}, key=_ORDER.index)

    def figure(self, name: str) -> Figure:
        """The figure with this name."""
        return next(figure for figure in self.figures if figure.name == name)

    def to_dict(self) -> dict:
        """The report as JSON types."""
        return {
            "version": str(self.version),
            "state": self.state,
            "rows": self.rows,
            "begin": self.begin,
            "end": self.end,
            "signatures": self.signatures,
            "min_rows": self.min_rows,
            "figures": {figure.name: figure.to_dict() for figure in self.figures},
            "notes": list(self.notes),
            "histograms": self.histograms,
        }

    def text(self) -> str:
        """The report as plain text."""
        out = io.StringIO()
        Console(file=out, width=_WIDTH, color_system=None, highlight=False).print(self)
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        times = ""
        if self.begin is not None and self.end is not None:
            times = f", {_time(self.begin)} to {_time(self.end)}"
        by = ", ".join(f"{name} {rows:,}" for name, rows in self.signatures.items())
        yield f"{self.version}: {self.rows:,} requests{times}" + (f" ({by})" if by else "")
        table = Table("figure", box=None)
        for name in ("requests", "reference", "warns", "alerts", "of rows"):
            table.add_column(name, justify="right")
        table.add_column("")
        for figure in self.figures:
            table.add_row(
                figure.name,
                _number(figure.value),
                _number(figure.reference),
                _number(figure.warn),
                _number(figure.alert),
                f"{figure.rows:,}",
                figure.state,
                style=_STYLES.get(figure.state),
            )
        yield table
        for note in self.notes:
            yield f"note: {note}"
        yield f"state: {self.state}"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
