"""Compares logged requests with the reference statistics of an exported version."""

from __future__ import annotations

import math
import os
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from tfrec_fusion.data import Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.reference.distribution import Distribution
from tfrec_fusion.export.reference.popularity import GROUPS, popularity_groups
from tfrec_fusion.export.reference.reference import Reference
from tfrec_fusion.export.reference.statistics import gini, psi
from tfrec_fusion.monitoring.figure import Figure
from tfrec_fusion.monitoring.limits import Limits
from tfrec_fusion.monitoring.report import Report
from tfrec_fusion.monitoring.request_log import COLUMNS
from tfrec_fusion.paths import local_path
from tfrec_fusion.signature import RANKED

MIN_ROWS = 500
_ITEMS = "assets.extra/items.parquet"
_USERS = "assets/users.txt"


def compare(
    version: str | os.PathLike,
    requests: pd.DataFrame,
    limits: Limits | None = None,
    min_rows: int = MIN_ROWS,
) -> Report:
    """Compares a window of requests with a version's reference and returns a report.

    Requests logged for another version are left out; requests without a version are used.

    Args:
      version: folder of the version that answered the requests.
      requests: result of `read_requests` or `as_requests`.
      limits: warning and alert limits; the defaults of `Limits` by default.
      min_rows: a figure of fewer requests has the state "few" and never warns or alerts.

    Raises:
      InputError: the version has no reference, or the frame or a limit is invalid.

    Example:
      >>> from tfrec_fusion.monitoring import read_requests
      >>> report = compare("saved_models/shop/1", read_requests("logs"))
      >>> report.state  # the window has only two requests
      'few'
    """
    return _Comparison(
        local_path(version, "monitor"), requests, limits or Limits(), min_rows
    ).report()


class _Comparison:
    """Computes the figures; each method adds those of one topic."""

    def __init__(self, version: Path, requests: pd.DataFrame, limits: Limits, min_rows: int):
        self.version, self.limits, self.min_rows = version, limits, min_rows
        self.reference = Reference.load(version)
        try:
            self.items = pd.read_parquet(version / _ITEMS)
            self.users = Vocabulary.load(version / _USERS)
            self.groups = popularity_groups(self.items["events"])
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"monitor: {version} is not an exported version: {error}") from None
        self.vocabulary = Vocabulary(self.items["item_id"])
        self.figures: list[Figure] = []
        self.notes: list[str] = []
        self.histograms: dict[str, dict] = {}
        self.samples: dict[str, np.ndarray] = {}
        for column in limits.features():
            if column not in self.reference.features:
                raise InputError(
                    f"monitor: limits: the reference has no feature {column!r}; use one of "
                    f"{list(self.reference.features)}"
                )
        if not set(COLUMNS) <= set(requests.columns):
            raise InputError(
                "monitor: requests must be a frame from read_requests or as_requests. "
                f"Received: the columns {list(requests.columns)}"
            )
        self.requests = self._of_this_version(requests)

    def _of_this_version(self, requests: pd.DataFrame) -> pd.DataFrame:
        if not self.version.name.isdecimal():
            return requests
        other = requests["version"].notna() & (requests["version"] != int(self.version.name))
        if other.any():
            self.notes.append(f"ignored {other.sum():,} requests of other versions")
        return requests[~other].reset_index(drop=True)

    def report(self) -> Report:
        self._inputs()
        self._history()
        self._answers()
        self._features()
        times = self.requests["time"].dropna()
        begin, end = (times.min(), times.max()) if len(times) else (None, None)
        if begin is not None and end is not None and end > begin:
            self._add("requests_per_second", len(times) / (end - begin), len(times))
        few = [figure for figure in self.figures if figure.state == "few"]
        if few:
            self.notes.append(
                f"{len(few)} figures have fewer than {self.min_rows} requests and are not checked "
                "against limits"
            )
        return Report(
            version=self.version,
            rows=len(self.requests),
            begin=None if begin is None else float(begin),
            end=None if end is None else float(end),
            signatures=self.requests["signature"].value_counts().to_dict(),
            min_rows=self.min_rows,
            figures=self.figures,
            notes=self.notes,
            histograms=self.histograms,
            samples=self.samples,
        )

    def _add(self, name: str, value: float, rows: int, reference: float | None = None) -> None:
        warn, alert = self.limits.of(name)
        state = self.limits.state(name, value)
        if rows < self.min_rows:
            state = "few"
        self.figures.append(Figure(name, float(value), reference, int(rows), warn, alert, state))

    def _inputs(self) -> None:
        """Adds the shares of unknown users, unknown items and cold requests."""
        requests = self.requests
        known = self.users.rows(requests["user_id"].to_numpy(object)) >= 0
        self._add("unknown_users", _mean(~known), len(requests), 0.0)
        histories, lengths = self._rows(requests["history"])
        others, other_lengths = self._rows(requests["items"])
        unknown = np.concatenate([histories, others]) < 0
        self._add("unknown_items", _mean(unknown), ((lengths + other_lengths) > 0).sum(), 0.0)
        known_items = np.bincount(
            np.repeat(np.arange(len(requests)), lengths)[histories >= 0], minlength=len(requests)
        )
        self._add("cold_requests", _mean(~known & (known_items == 0)), len(requests), 0.0)

    def _history(self) -> None:
        """Adds drift of the histories sent with requests; others use the stored history."""
        rows, lengths = self._rows(self.requests["history"])
        given = lengths[lengths > 0]
        self._drift("history", self.reference.history_length, given, len(given))
        counts = np.bincount(self.groups[rows[rows >= 0]], minlength=GROUPS)
        self._groups("history_popularity", self.reference.history_popularity, counts, len(given))

    def _answers(self) -> None:
        """Adds figures of the answers: empty ones, scores, coverage and popularity."""
        reference, requests = self.reference, self.requests
        if not reference.ranks:
            requests = requests[requests["signature"].isin(RANKED)]
            listed = requests[requests["item_ids"].notna() & ~(requests["k"] <= 0)]
            self._add("empty_answers", _mean([not ids for ids in listed["item_ids"]]), len(listed))
            self._coverage(listed["item_ids"])
        scored = [scores for scores in requests["scores"] if scores]
        finite = [np.isfinite(scores).all() for scores in scored]
        self._add("bad_scores", _mean(~np.array(finite, bool)), len(scored), 0.0)
        scored = [scores for scores, good in zip(scored, finite, strict=True) if good]
        if reference.scores is not None:
            deep = [s[: reference.depth] for s in scored if len(s) >= (reference.depth or 1)]
            values = np.fromiter(chain.from_iterable(deep), float)
            self._drift("score", reference.scores, values, len(deep))
        if reference.best_score is not None:
            best = np.array([scores[0] for scores in scored], float)
            self._drift("best_score", reference.best_score, best, len(best))

    def _coverage(self, answers: pd.Series) -> None:
        reference = self.reference
        rows, _ = self._rows([ids[: reference.depth] for ids in answers])
        rows = rows[rows >= 0]
        counts = np.bincount(rows, minlength=len(self.items))
        share = _mean(counts > 0) if len(answers) else float("nan")
        self._add("coverage", share, len(answers), reference.coverage)
        self._add("gini", gini(counts), len(answers), reference.gini)
        if reference.answered_popularity is not None:
            groups = np.bincount(self.groups[rows], minlength=GROUPS)
            name = "answered_popularity"
            self._groups(name, reference.answered_popularity, groups, len(answers))

    def _features(self) -> None:
        for column, reference in self.reference.features.items():
            name = f"feature_psi.{column}"
            if column not in self.requests:
                self._add(name, float("nan"), 0)
                continue
            values = self.requests[column].to_numpy()
            numeric = isinstance(reference, Distribution)
            given = values != "" if values.dtype == object else ~np.isnan(values)
            if not given.any():  # missing values have no type
                values = np.full(len(values), *((np.nan, float) if numeric else ("", object)))
            if numeric != (values.dtype != object):
                raise InputError(
                    f"monitor: requests: column {column!r} must hold "
                    f"{'numbers' if numeric else 'texts'}, as in training. "
                    f"Received: {values[:3].tolist()}"
                )
            if column in self.reference.optional:
                values = values[given]
            self._add(name, reference.psi(values), len(values))
            bins = {"edges": reference.edges} if numeric else {"values": reference.values}
            self._histogram(column, bins, reference.counts, reference.count(values))
            if numeric:
                self.samples[column] = values[~np.isnan(values)]
        known = {*COLUMNS, *self.reference.features}
        other = [name for name in self.requests.columns if name not in known]
        if other:
            self.notes.append(f"the reference lacks these columns: {', '.join(other)}")

    def _drift(self, name: str, reference: Distribution, values: np.ndarray, rows: int) -> None:
        """Adds the PSI, and for scores the Kolmogorov-Smirnov distance and shift of the mean."""
        self._add(f"{name}_psi", reference.psi(values), rows)
        if name != "history":
            self._add(f"{name}_ks", reference.ks(values), rows)
            self._add(f"{name}_shift", reference.shift(values), rows)
        bins = {"edges": reference.edges}
        self._histogram(name, bins, reference.counts, reference.count(values))
        self.samples[name] = values

    def _groups(self, name: str, reference: list[int], counts: np.ndarray, rows: int) -> None:
        self._add(f"{name}_psi", psi(reference, counts), rows)
        self._histogram(name, {"values": list(range(GROUPS))}, reference, counts)

    def _histogram(self, name: str, bins: dict, reference: list[int], counts: np.ndarray) -> None:
        self.histograms[name] = {**bins, "reference": reference, "requests": counts.tolist()}

    def _rows(self, lists) -> tuple[np.ndarray, np.ndarray]:
        """Item rows of all ids in the lists (-1 for unknown ids), and the lists' lengths."""
        lists = list(lists)
        lengths = np.array([len(ids) for ids in lists], np.int64)
        ids = np.array([*chain.from_iterable(lists)], object)
        return self.vocabulary.rows(ids), lengths


def _mean(values) -> float:
    """Share of true values; NaN if there are none."""
    return float(np.mean(values)) if len(values) else math.nan
