"""Evaluates rankers: test events against negatives, labelled or sampled."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Split
from tfrec_fusion.errors import InputError, check_whole_number
from tfrec_fusion.evaluation.protocol import check_scorer, check_split
from tfrec_fusion.evaluation.ranking_metrics import RankedRows, ranking_metrics
from tfrec_fusion.evaluation.report import few_users, format_value, render, save_json
from tfrec_fusion.evaluation.slices import item_slices, rare_items, user_slices
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features.state import State
from tfrec_fusion.models.calibration.applied import scores_and_logits
from tfrec_fusion.progress import WorkProgress

_SAMPLED = 4
_HEADINGS = {
    "gauc": "GAUC",
    "auc": "AUC",
    "ndcg@10": "NDCG@10",
    "log_loss": "log loss",
    "normalised_entropy": "norm. entropy",
    "ece": "ECE",
}


@dataclass(frozen=True, repr=False)
class RankingReport:
    """The result of `evaluate_ranker`.

    Attributes:
      name: of the model.
      metrics: slice -> metric -> value; NaN for one that does not exist, as log loss of a model
        without probabilities.
      intervals: slice -> metric -> 95 % bootstrap interval `(low, high)`; empty without bootstrap.
      counts: slice -> numbers of "users", "users_of_one_label" (without an AUC of their own, so
        that GAUC leaves them out), "lists" (with a positive), "positives" and "negatives".
      events: number of evaluated test events.
      negatives: sampled negatives per event; 0 if the events have labels.
      split: kind of the split.
      bootstrap, seed: of the intervals; `seed` also of the sampled negatives.
      seconds: duration of the evaluation.

    Example:
      >>> report = tff.evaluation.evaluate_ranker(model, split)
      >>> print(report)
      two_tower..., temporal split...
    """

    name: str
    metrics: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, tuple[float, float]]]
    counts: dict[str, dict[str, int]]
    events: int
    negatives: int
    split: str
    bootstrap: int
    seed: int
    seconds: float

    @property
    def gauc(self) -> float:
        """Mean AUC within each user; see `tfrec_fusion.metrics.gauc`."""
        return self.metrics["total"]["gauc"]

    @property
    def users(self) -> int:
        """Number of known users with test events."""
        return self.counts["total"]["users"]

    def to_dict(self) -> dict:
        """Returns everything in JSON's types; NaN becomes None."""
        return {
            "name": self.name,
            "gauc": _number(self.gauc),
            "users": self.users,
            "events": self.events,
            "negatives": self.negatives,
            "split": self.split,
            "slices": {
                label: {
                    **self.counts[label],
                    "metrics": {name: _number(value) for name, value in values.items()},
                    "intervals": {m: list(b) for m, b in self.intervals[label].items()},
                }
                for label, values in self.metrics.items()
            },
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

    def table(self) -> Table:
        """Returns a table of metrics by slices, with the 95 % interval of `total` beside it."""
        table = Table(
            title=f"{self.name}, {self.split} split: {self._rows()}",
            title_justify="left",
            caption=few_users(self.users),
            caption_justify="left",
        )
        table.add_column("", no_wrap=True)
        for label in self.metrics:
            table.add_column(label, justify="right", no_wrap=True)
            if label == "total" and self.intervals["total"]:
                table.add_column("95 % interval", justify="center", no_wrap=True, style="dim")
        names = list(self.counts["total"])
        for name in names:
            cells = [f"{counts[name]:,}" for counts in self.counts.values()]
            heading = name.replace("_", " ")
            table.add_row(heading, *self._beside(cells, ""), end_section=name == names[-1])
        for name, heading in _HEADINGS.items():
            cells = [format_value(name, values[name]) for values in self.metrics.values()]
            bounds = self.intervals["total"].get(name, ())
            between = " - ".join(format_value(name, bound) for bound in bounds)
            table.add_row(heading, *self._beside(cells, between))
        return table

    def _rows(self) -> str:
        if not self.negatives:
            return f"{self.events:,} labelled events"
        return f"{self.events:,} events, {self.negatives} sampled items each"

    def _beside(self, cells: list[str], between: str) -> list[str]:
        """Inserts the cell of the interval after that of `total`, if the table has intervals."""
        return [cells[0], between, *cells[1:]] if self.intervals["total"] else cells

    def __str__(self) -> str:
        return render(self.table())

    def __rich__(self) -> Table:
        return self.table()

    def __repr__(self) -> str:
        return f"<RankingReport {self.name!r} gauc={self.gauc:.4f}>"


def ranking_table(reports: Sequence[RankingReport]) -> Table:
    """Returns a table with one row per model, in the given order; all of the same split."""
    table = Table(
        "model",
        title=f"{reports[0].split} split: {reports[0]._rows()}",
        caption=few_users(reports[0].users),
        caption_justify="left",
    )
    for heading in _HEADINGS.values():
        table.add_column(heading, justify="right")
    for report in reports:
        metrics = report.metrics["total"]
        table.add_row(report.name, *(format_value(name, metrics[name]) for name in _HEADINGS))
    return table


def evaluate_ranker(
    model,
    split: Split,
    *,
    negatives: int | None = None,
    slices: bool = True,
    bootstrap: int = 1000,
    seed: int = 0,
    name: str | None = None,
    progress: Console | bool | None = None,
) -> RankingReport:
    """Evaluates how a model ranks test events against negatives of the same time.

    All features are as of the start of the test period. If the test events of known users have
    labels, some of them above 0 and some not, these are the positives and the negatives, and a list
    is all events of a user. Otherwise items are sampled as negatives, and a list is an event with
    its own. Positives are labels above 0.

    - `gauc`: mean AUC within each user, weighted by rows; users of one label are left out.
    - `auc`: AUC over all rows.
    - `ndcg@10`: mean over the lists that have a positive, with the gain `2^label - 1`; ties by
      expectation.
    - `log_loss`, `normalised_entropy`, `ece`: of the probabilities sigmoid(logit) of a `Ranker`,
      with its calibration if it has one, in 15 bins that have equally many rows in total. Sampled
      negatives set the base rate, and a model that is trained by another loss than cross entropy
      has probabilities to judge only after `tfrec_fusion.training.calibrate`. NaN for models with
      scores alone.

    Slices: `warm` and `cold` items, with and without a training event; `rare` items with fewer than
    5, cold ones included; `new users` with at most 5 training items, and `old users`. The first
    three metrics of a slice of items rank its positives against all negatives of their users; the
    others read the rows of its items.

    Intervals are bootstraps over users. That of `auc` takes each row's placement among the rows of
    all users, which is right to first order; that of `ece` may lie above it, as a resample adds
    noise to each bin.

    Args:
      model: a `Ranker`, or anything with a `scorer` as in `tfrec_fusion.evaluation.evaluate`.
      split: a `Split` with test events.
      negatives: sampled negatives per event; 0 for labelled events alone; None for 0 if the test
        events have labels of both kinds, else 4.
      slices: whether to report more than `total`.
      bootstrap: number of resamples of the users for the 95 % percentile intervals; 0 for none.
      seed: of the resamples and the sample, which is the same for every model.
      name: of the model; by default its own.
      progress: a rich console for the progress; None is standard error, False no output.

    Raises:
      InputError: the model has no scorer, `split` is no split, `negatives` or `bootstrap` is no
        whole number of 0 or more, no test event has a known user, or
        `negatives=0` and the test events have no labels of both kinds.

    Example:
      >>> from tfrec_fusion.models.classic import Popularity
      >>> report = evaluate_ranker(Popularity().fit(split.train), split)
      >>> 0 < report.gauc < 1
      True
    """
    started = time.perf_counter()
    if not _scores_given_items(model):
        check_scorer("evaluate_ranker", model)
    check_split("evaluate_ranker", split)
    check_whole_number("evaluate_ranker: bootstrap", bootstrap, 0)
    negatives = tested_negatives(split, negatives)
    rows = _ranked_rows(model, split, negatives, seed, progress)
    items, users = {}, {}
    if slices:
        matrix = split.train.matrix()
        items = {label: item_slices(matrix)[label] for label in ("warm", "cold")}
        items["rare"] = rare_items(matrix)
        users = user_slices(matrix)
    found = ranking_metrics(rows, items, users, bootstrap, seed)
    return RankingReport(
        name=name or getattr(model, "name", None) or type(model).__name__,
        metrics={label: one.metrics for label, one in found.items()},
        intervals={label: one.intervals for label, one in found.items()},
        counts={label: one.counts for label, one in found.items()},
        events=len(rows.user) // (1 + negatives),
        negatives=negatives,
        split=split.kind,
        bootstrap=bootstrap,
        seed=seed,
        seconds=time.perf_counter() - started,
    )


def tested_negatives(
    split: Split, negatives: int | None = None, name: str = "evaluate_ranker"
) -> int:
    """Returns the number of sampled negatives per test event; 0 if the events' labels suffice.

    Args:
      split: has the test events.
      negatives: the number asked for; None for a default.
      name: of the caller, in errors.

    Raises:
      InputError: as `evaluate_ranker`.
    """
    known = split.test.select(split.test.user >= 0)
    labelled = known.is_impression.any() and known.is_target.any()
    if negatives is None:
        return 0 if labelled else _SAMPLED
    check_whole_number(f"{name}: negatives", negatives, 0)
    if not negatives and not labelled:
        raise InputError(
            f"{name}: negatives must be at least 1 if the test events of known users have no "
            f"labels above 0 and of 0 or less. Received: {negatives}"
        )
    return negatives


def tested_pairs(model, split: Split, negatives: int, seed: int) -> tf.data.Dataset:
    """Returns the test events beside sampled negatives, as of the start of the test period."""
    given = _scores_given_items(model)
    if given:
        model.check(split.train)
    test = split.test
    return ranking_examples(
        test.select(test.is_target | test.is_impression),
        negatives=negatives,
        known=split.train,
        at=split.time,
        horizon_days=0.0,
        context_side=model.spec.context_side if given else None,
        event_side=model.spec.event_side if given else None,
        label_rates=given and model.spec.label_rates,
        numbers=model.spec.numbers if given else (),
        seed=seed,
        shuffle=False,
    )


def _ranked_rows(model, split: Split, negatives: int, seed: int, progress) -> RankedRows:
    batches = tested_pairs(model, split, negatives, seed)
    score = _batch_scores(model, split)
    users, items, labels, scores, logits = [], [], [], [], []
    count = len(batches)
    with WorkProgress("evaluated", count, "batches", console=progress, tell_end=False) as shown:
        for batch in batches:
            items.append(batch["item"].numpy().ravel())
            users.append(np.repeat(batch["user"].numpy(), 1 + negatives))
            labels.append(batch["label"].numpy().ravel())
            scored, logit = score(batch)
            scores.append(scored.ravel())
            logits.append(logit.ravel())
            shown.advance()
    found = users, items, labels, scores, logits
    user, item, label, scored, logit = map(np.concatenate, found)
    lists = np.arange(len(user)) // (1 + negatives) if negatives else user
    is_logit = _scores_given_items(model) and getattr(model, "score_is_logit", True)
    return RankedRows(user, item, lists, label, scored, logit if is_logit else None)


def _scores_given_items(model) -> bool:
    """Whether the model takes batches of users and items; other models have a scorer."""
    return not getattr(model, "ranks_catalogue", True)


def _batch_scores(model, split: Split):
    """A function from a batch to its scores and, of a `Ranker`, its calibrated logits."""
    if _scores_given_items(model):
        # predict_on_batch would consume several batches if steps_per_execution is above 1.
        scored = tf.function(lambda batch: scores_and_logits(model, batch), reduce_retracing=True)
        return lambda batch: tuple(values.numpy() for values in scored(batch))
    scorer = model.scorer(State.of(split.train))

    def score(batch):
        item = batch["item"].numpy()
        users, row = np.unique(batch["user"].numpy(), return_inverse=True)
        scores = scorer(users)[row.reshape(-1, *[1] * (item.ndim - 1)), item]
        return scores, scores

    return score


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
