"""The result of an evaluation: metrics, a table and JSON."""

import io
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tfrec_fusion.errors import InputError
from tfrec_fusion.files import new_file
from tfrec_fusion.paths import local_path

_FEW_USERS = 200


@dataclass(frozen=True, repr=False)
class Report:
    """The result of `evaluate` for one model.

    Attributes:
      name: of the model.
      k: the cut-offs, ascending.
      metrics: slice -> metric -> mean over the slice's users, e.g. `metrics["cold"]["ndcg@10"]`;
        NaN for a slice without users.
      intervals: slice -> metric -> 95 % bootstrap interval `(low, high)`; empty without bootstrap.
      counts: slice -> `{"users": int, "targets": int}`.
      slice_users: slice -> `[users] int32` user rows, ascending.
      slice_per_user: slice -> metric -> `[users] float64`, in the order of `slice_users`.
      split: kind of the split.
      bootstrap, seed: of the intervals.
      seconds: duration of the evaluation.
      sampled_from: number of users of whom the evaluated ones are a sample; None if all were.

    Example:
      >>> report = tff.evaluation.evaluate(model, split)
      >>> print(report)
      two_tower..., temporal split...
      >>> report.save("report.json")
    """

    name: str
    k: tuple[int, ...]
    metrics: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, tuple[float, float]]]
    counts: dict[str, dict[str, int]]
    slice_users: dict[str, np.ndarray]
    slice_per_user: dict[str, dict[str, np.ndarray]]
    split: str
    bootstrap: int
    seed: int
    seconds: float
    sampled_from: int | None = None

    @property
    def per_user(self) -> dict[str, np.ndarray]:
        """Metric -> `[users] float64` over all evaluated users, in the order of `users`."""
        return self.slice_per_user["total"]

    @property
    def users(self) -> np.ndarray:
        """`[users] int32` rows of the evaluated users."""
        return self.slice_users["total"]

    def table(self) -> Table:
        """Returns a table of metrics by slices, with the 95 % interval of `total` beside it."""
        table = Table(
            title=f"{self.name}, {self.split} split",
            title_justify="left",
            caption=self._caption(),
            caption_justify="left",
        )
        table.add_column("", no_wrap=True)
        for label in self.metrics:
            table.add_column(label, justify="right", no_wrap=True)
            if label == "total" and self.intervals["total"]:
                table.add_column("95 % interval", justify="center", no_wrap=True, style="dim")
        for count in ("users", "targets"):
            cells = [f"{self.counts[label][count]:,}" for label in self.metrics]
            table.add_row(count, *self._beside_total(cells, ""), end_section=count == "targets")
        for metric in self.metrics["total"]:
            cells = [
                format_value(metric, self.metrics[label].get(metric)) for label in self.metrics
            ]
            bounds = self.intervals["total"].get(metric, ())
            between = " - ".join(format_value(metric, bound) for bound in bounds)
            table.add_row(metric, *self._beside_total(cells, between))
        return table

    def _caption(self) -> str | None:
        count = self.counts["total"]["users"]
        if self.sampled_from is None:
            return few_users(count)
        return f"A random sample of {count:,} of {self.sampled_from:,} users."

    def _beside_total(self, cells: list[str], between: str) -> list[str]:
        """Inserts the cell of the interval after that of `total`, if the table has intervals."""
        return [cells[0], between, *cells[1:]] if self.intervals["total"] else cells

    def to_dict(self) -> dict:
        """Returns everything but the per-user arrays in JSON's types; NaN becomes None."""
        return {
            "name": self.name,
            "split": self.split,
            "k": list(self.k),
            "slices": {
                label: {
                    **self.counts[label],
                    "metrics": {
                        metric: value if math.isfinite(value) else None
                        for metric, value in values.items()
                    },
                    "intervals": {m: list(b) for m, b in self.intervals[label].items()},
                }
                for label, values in self.metrics.items()
            },
            "sampled_from": self.sampled_from,
            "bootstrap": self.bootstrap,
            "seed": self.seed,
            "seconds": self.seconds,
        }

    def save(self, path: str | os.PathLike) -> Path:
        """Writes `to_dict()` as JSON, atomically; creates the folder if it is missing.

        Raises:
          InputError: `path` does not end in .json.
        """
        return save_json(self.to_dict(), path)

    def __str__(self) -> str:
        return render(self.table())

    def __rich__(self) -> Table:
        return self.table()

    def __repr__(self) -> str:
        metric = f"ndcg@{self.k[0]}"
        return f"<Report {self.name!r} {metric}={self.metrics['total'][metric]:.4f}>"


def few_users(count: int) -> str | None:
    """Returns a warning if an evaluation has few users, else None."""
    if count >= _FEW_USERS:
        return None
    return (
        f"Few users: with {count} (fewer than {_FEW_USERS}), models may differ by chance alone. "
        "Hold out more (test=), split by leave_one_out, or average several seeds."
    )


def render(table: Table) -> str:
    """Renders a rich table as plain text, up to 200 columns wide."""
    buffer = io.StringIO()
    Console(file=buffer, width=200, no_color=True).print(table)
    return buffer.getvalue().rstrip("\n")


def format_value(metric: str, value: float | None) -> str:
    """Formats a metric: bits with two decimals, shares with four, "-" for NaN, "" for None."""
    if value is None:
        return ""
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if metric.startswith("novelty@") else f"{value:.4f}"


def save_json(described: dict, path: str | os.PathLike) -> Path:
    """Writes a report's values as JSON, atomically; creates the folder if it is missing.

    Raises:
      InputError: `path` does not end in .json.
    """
    path = local_path(path, "report")
    if path.suffix != ".json":
        raise InputError(f"report: path must end in .json. Received: {str(path)!r}")
    with new_file(path) as file:
        text = json.dumps(described, indent=2, ensure_ascii=False)
        file.write(f"{text}\n".encode())
    return path
