"""The result of an evaluation at several origins: each origin, and all of them pooled."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Group
from rich.table import Table

from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.bootstrap import PairedDifference, interval
from tfrec_fusion.evaluation.origin_result import OriginResult
from tfrec_fusion.evaluation.pooling import pool
from tfrec_fusion.evaluation.report import (
    Report,
    few_users,
    format_value,
    render,
    save_json,
)
from tfrec_fusion.evaluation.window import Window
from tfrec_fusion.times import utc

_POOLED = ("cold",)  # slices with few users at an origin


@dataclass(frozen=True, repr=False)
class RollingReport:
    """The result of `rolling_origins`.

    Attributes:
      windows: the origins and test periods.
      origins: for each window, model -> its result.
      reference: the model that the others are compared with.
      metrics: model -> slice -> metric -> mean over the origins, each of which counts equally; for
        the slice "cold" the mean over the users of all origins. NaN without users.
      intervals: model -> slice -> metric -> 95 % bootstrap interval `(low, high)`; empty without
        bootstrap.
      differences: model -> slice -> metric -> `PairedDifference` to the reference, of the same
        users; empty for the reference and without bootstrap.
      counts: slice -> `{"users": distinct users, "cases": users summed over the origins,
        "targets": targets}`.
      cold_items: ids of the items that were cold at an origin and targets in its window.
      bootstrap, seed: of the intervals.
    """

    windows: tuple[Window, ...]
    origins: tuple[dict[str, OriginResult], ...]
    reference: str
    metrics: dict[str, dict[str, dict[str, float]]]
    intervals: dict[str, dict[str, dict[str, tuple[float, float]]]]
    differences: dict[str, dict[str, dict[str, PairedDifference]]]
    counts: dict[str, dict[str, int]]
    cold_items: tuple[str, ...]
    bootstrap: int
    seed: int

    @classmethod
    def of(
        cls,
        windows: Sequence[Window],
        origins: Sequence[Mapping[str, OriginResult]],
        *,
        reference: str | None = None,
        bootstrap: int = 1000,
        seed: int = 0,
    ) -> RollingReport:
        """Pools the results of all origins.

        Args:
          windows: the origins, in the order of `origins`.
          origins: for each window, model -> result; the same models and users.
          reference: the model to compare with; None takes the first.
          bootstrap: resamples of the users for the intervals.
          seed: of the resamples.

        Raises:
          InputError: an unknown reference.
        """
        names = list(origins[0])
        reference = names[0] if reference is None else reference
        if reference not in names:
            raise InputError(
                f"rolling origins: reference must be one of {names}. Received: {reference!r}"
            )
        first = [origin[names[0]] for origin in origins]
        labels = list(dict.fromkeys(name for one in first for name in one.report.metrics))
        found = {name: {} for name in names}
        for label in labels:
            for name in names:
                results = [origin[name] for origin in origins]
                found[name][label] = _pooled(results, label, bootstrap, seed)
        metrics, intervals, differences = {}, {}, {}
        for name in names:
            metrics[name], intervals[name], differences[name] = {}, {}, {}
            for label, (columns, means, resampled) in found[name].items():
                metrics[name][label] = dict(zip(columns, means.tolist(), strict=True))
                intervals[name][label], differences[name][label] = {}, {}
                if not bootstrap or not np.isfinite(means).all():
                    continue
                low, high = interval(resampled)
                pairs = zip(low.tolist(), high.tolist(), strict=True)
                intervals[name][label] = dict(zip(columns, pairs, strict=True))
                if name != reference:
                    _, theirs, theirs_resampled = found[reference][label]
                    differences[name][label] = {
                        column: PairedDifference.of(
                            float(means[place] - theirs[place]),
                            resampled[:, place] - theirs_resampled[:, place],
                        )
                        for place, column in enumerate(columns)
                    }
            for metric in origins[0][name].report.metrics["total"]:
                if metric not in metrics[name]["total"]:  # coverage, which no single user has
                    each = [origin[name].report.metrics["total"][metric] for origin in origins]
                    metrics[name]["total"][metric] = float(np.mean(each))
        cold = dict.fromkeys(item for one in first for item in one.cold_items)
        counts = {label: _counts(first, label) for label in labels}
        return cls(
            tuple(windows),
            tuple(dict(origin) for origin in origins),
            reference,
            metrics,
            intervals,
            differences,
            counts,
            tuple(cold),
            bootstrap,
            seed,
        )

    @property
    def names(self) -> list[str]:
        """Names of the models."""
        return list(self.metrics)

    @property
    def k(self) -> tuple[int, ...]:
        """The cut-offs, ascending."""
        return self.origins[0][self.names[0]].report.k

    def reports(self, name: str) -> list[Report]:
        """Returns the reports of one model, by origin."""
        return [origin[name].report for origin in self.origins]

    def table(self) -> Table:
        """Returns the pooled table: one row per model, with intervals of NDCG."""
        total = self.counts["total"]
        low, high = f"ndcg@{self.k[0]}", f"recall@{self.k[-1]}"
        table = Table(
            title=f"{len(self.windows)} origins, {total['cases']:,} evaluations of "
            f"{total['users']:,} users, {len(self.cold_items):,} cold items",
            title_justify="left",
            caption=self._caption(),
            caption_justify="left",
        )
        table.add_column("model")
        for heading in (f"NDCG@{self.k[0]}", "95 % interval"):
            table.add_column(heading, justify="right", no_wrap=True)
        compared = len(self.names) > 1 and bool(self.bootstrap)
        if compared:
            table.add_column(f"minus {self.reference}", justify="right", no_wrap=True)
        table.add_column(f"Recall@{self.k[-1]}", justify="right", no_wrap=True)
        slices = [name for name in self.counts if name != "total" and self.counts[name]["cases"]]
        for label in slices:
            table.add_column(label, justify="right", no_wrap=True)
            if label == "cold" and compared:
                table.add_column(f"cold minus {self.reference}", justify="right", no_wrap=True)
        table.add_column("training", justify="right", no_wrap=True)
        for name in self.names:
            values = self.metrics[name]
            bounds = self.intervals[name]["total"].get(low, ())
            cells = [
                format_value(low, values["total"][low]),
                " - ".join(format_value(low, bound) for bound in bounds),
            ]
            if compared:
                cells.append(_difference(self.differences[name]["total"].get(low)))
            cells.append(format_value(high, values["total"][high]))
            for label in slices:
                cells.append(format_value(low, values[label][low]))
                if label == "cold" and compared:
                    cells.append(_difference(self.differences[name]["cold"].get(low)))
            seconds = sum(origin[name].fit_seconds for origin in self.origins)
            table.add_row(name, *cells, f"{seconds:,.1f} s")
        return table

    def _caption(self) -> str | None:
        reports = self.reports(self.names[0])
        sampled = [one for one in reports if one.sampled_from is not None]
        if not sampled:
            return few_users(self.counts["total"]["users"])
        return (
            f"At {len(sampled)} of {len(reports)} origins, a random sample of "
            f"{sampled[0].counts['total']['users']:,} users, of up to "
            f"{max(one.sampled_from or 0 for one in sampled):,}."
        )

    def origin_table(self) -> Table:
        """Returns a table with one row per origin and the NDCG of each model."""
        table = Table()
        for heading in ("origin", "until"):
            table.add_column(heading, no_wrap=True)
        for heading in ("training events", "users", "cold items", *self.names):
            table.add_column(heading, justify="right", no_wrap=True)
        low = f"ndcg@{self.k[0]}"
        for window, origin in zip(self.windows, self.origins, strict=True):
            one = next(iter(origin.values()))
            table.add_row(
                *(utc(time)[:16].replace("T", " ") for time in (window.start, window.end)),
                f"{one.train_events:,}",
                f"{one.report.counts['total']['users']:,}",
                f"{len(one.cold_items):,}",
                *(
                    format_value(low, result.report.metrics["total"][low])
                    for result in origin.values()
                ),
            )
        return table

    def to_dict(self) -> dict:
        """Returns everything but the values of users in JSON's types; NaN becomes None."""
        return {
            "reference": self.reference,
            "k": list(self.k),
            "cold_items": list(self.cold_items),
            "slices": self.counts,
            "models": {
                name: {
                    label: {
                        "metrics": {
                            metric: value if math.isfinite(value) else None
                            for metric, value in values.items()
                        },
                        "intervals": {
                            metric: list(pair)
                            for metric, pair in self.intervals[name][label].items()
                        },
                        "differences": {
                            metric: found._asdict()
                            for metric, found in self.differences[name][label].items()
                        },
                    }
                    for label, values in self.metrics[name].items()
                }
                for name in self.names
            },
            "origins": [
                {
                    "start": window.start,
                    "end": window.end,
                    "models": {
                        name: result.report.to_dict()
                        | {
                            "train_events": result.train_events,
                            "fit_seconds": result.fit_seconds,
                            "cold_items": list(result.cold_items),
                        }
                        for name, result in origin.items()
                    },
                }
                for window, origin in zip(self.windows, self.origins, strict=True)
            ],
            "bootstrap": self.bootstrap,
            "seed": self.seed,
        }

    def save(self, path: str | os.PathLike) -> Path:
        """Writes `to_dict()` as JSON, atomically; creates the folder if it is missing.

        Raises:
          InputError: `path` does not end in .json.
        """
        return save_json(self.to_dict(), path)

    def __str__(self) -> str:
        return f"{render(self.table())}\n{render(self.origin_table())}"

    def __rich__(self) -> Group:
        return Group(self.table(), self.origin_table())

    def __repr__(self) -> str:
        metric = f"ndcg@{self.k[0]}"
        means = ", ".join(
            f"{name} {self.metrics[name]['total'][metric]:.4f}" for name in self.names
        )
        return f"<RollingReport {len(self.windows)} origins, {metric}: {means}>"


def _pooled(
    results: Sequence[OriginResult], label: str, bootstrap: int, seed: int
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The metrics of a slice, their pooled means `[metrics]` and those of the resamples."""
    here = [one for one in results if label in one.report.slice_per_user]
    columns = list(here[0].report.slice_per_user[label])
    users = [one.users_of(label) for one in here]
    values = [
        np.stack([one.report.slice_per_user[label][column] for column in columns], 1)
        for one in here
    ]
    by_origin = label not in _POOLED
    return columns, *pool(users, values, by_origin=by_origin, bootstrap=bootstrap, seed=seed)


def _counts(results: Sequence[OriginResult], label: str) -> dict[str, int]:
    here = [one for one in results if label in one.report.counts]
    everyone = np.concatenate([one.users_of(label) for one in here]).astype(str)
    return {
        "users": len(np.unique(everyone)),
        "cases": len(everyone),
        "targets": sum(one.report.counts[label]["targets"] for one in here),
    }


def _difference(found: PairedDifference | None) -> str:
    if found is None:
        return ""
    return f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
