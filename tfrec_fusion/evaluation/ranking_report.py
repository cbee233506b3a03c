"""Evaluates rankers: test events against sampled negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.report import few_users
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features.state import State
from tfrec_fusion.metrics import gauc
from tfrec_fusion.progress import WorkProgress


@dataclass(frozen=True)
class RankingReport:
    """The result of `evaluate_ranker`.

    Attributes:
      name: of the model.
      gauc: mean AUC within each user; see `tfrec_fusion.metrics.gauc`.
      users: number of known users with test events.
      events: number of test events of known users.
      negatives: sampled negatives per event.
      split: kind of the split.
    """

    name: str
    gauc: float
    users: int
    events: int
    negatives: int
    split: str

    def to_dict(self) -> dict:
        """Returns all fields in JSON's types."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.name}, {self.split} split: GAUC {self.gauc:.4f} over {self.events:,} events "
            f"with {self.negatives} sampled items each"
        )

    def __rich__(self) -> Table:
        return ranking_table([self])


def ranking_table(reports: Sequence[RankingReport]) -> Table:
    """Returns a table with one row per model, in the given order; all of the same split."""
    table = Table(
        "model",
        title=f"{reports[0].split} split",
        caption=few_users(reports[0].users),
        caption_justify="left",
    )
    for column in ("GAUC", "events", "sampled items each"):
        table.add_column(column, justify="right")
    for report in reports:
        row = (f"{report.gauc:.4f}", f"{report.events:,}", str(report.negatives))
        table.add_row(report.name, *row)
    return table


def evaluate_ranker(
    model,
    split: Split,
    *,
    negatives: int = 4,
    seed: int = 0,
    name: str | None = None,
    progress: Console | bool | None = None,
) -> RankingReport:
    """Evaluates how a model ranks test events against sampled negatives of the same time.

    All features are as of the start of the test period. The metric is GAUC.

    Args:
      model: a `Ranker`, or anything with a `scorer` as in `tfrec_fusion.evaluation.evaluate`.
      split: a `Split` with test events.
      negatives: sampled negatives per event, at least 1.
      seed: of the sample, which is the same for every model.
      name: of the model; by default its own.
      progress: a rich console for the progress; None is standard error, False no output.

    Raises:
      InputError: `negatives` is below 1, or no test event has a known user.

    Example:
      >>> from tfrec_fusion.models.classic import Popularity
      >>> 0 < evaluate_ranker(Popularity().fit(split.train), split).gauc < 1
      True
    """
    if negatives < 1:
        raise InputError(f"evaluate_ranker: negatives must be at least 1. Received: {negatives}")
    batches = tested_pairs(model, split, negatives, seed)
    score = _batch_scores(model, split)
    users, labels, scores = [], [], []
    count = len(batches)
    with WorkProgress("evaluated", count, "batches", console=progress, tell_end=False) as shown:
        for batch in batches:
            item = batch["item"].numpy()
            users.append(np.repeat(batch["user"].numpy(), item.shape[1]))
            labels.append(batch["label"].numpy().ravel())
            scores.append(score(batch).ravel())
            shown.advance()
    return RankingReport(
        name=name or getattr(model, "name", None) or type(model).__name__,
        gauc=gauc(np.concatenate(users), np.concatenate(labels), np.concatenate(scores)),
        users=len(np.unique(np.concatenate(users))),
        events=len(np.concatenate(users)) // (1 + negatives),
        negatives=negatives,
        split=split.kind,
    )


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
        numbers=model.spec.numbers if given else (),
        seed=seed,
        shuffle=False,
    )


def _scores_given_items(model) -> bool:
    """Whether the model takes batches of users and items; other models have a scorer."""
    return not getattr(model, "ranks_catalogue", True)


def _batch_scores(model, split: Split):
    if _scores_given_items(model):
        # predict_on_batch would consume several batches if steps_per_execution is above 1.
        logits = tf.function(model, reduce_retracing=True)
        return lambda batch: logits(batch).numpy()
    scorer = model.scorer(State.of(split.train))

    def score(batch):
        rows = scorer(batch["user"].numpy())
        return np.take_along_axis(rows, batch["item"].numpy(), axis=1)

    return score
