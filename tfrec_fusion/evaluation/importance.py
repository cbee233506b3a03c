"""What the declared features add to a model's ranking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.bootstrap import interval, resampled_means
from tfrec_fusion.evaluation.protocol import evaluate
from tfrec_fusion.evaluation.ranking_report import tested_negatives, tested_pairs
from tfrec_fusion.features.context import CONTEXT_FIELDS, encoded_context
from tfrec_fusion.features.history_events import EVENT_FIELDS
from tfrec_fusion.features.side import Side
from tfrec_fusion.features.state import State
from tfrec_fusion.metrics.grouped_auc import user_aucs
from tfrec_fusion.models.building import check_features, side_values


def feature_importance(
    model,
    split: Split,
    *,
    features: Sequence[str] | None = None,
    k: int = 10,
    repeats: int = 3,
    users: int | None = None,
    history: int | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Measures how much a model's metric drops when the values of a feature are permuted.

    The values of one declared feature are exchanged at random among all items, among all users, or
    among the test events, or among all events of histories, and the model, which is not trained
    again, is evaluated: by NDCG@k as in `evaluate`, or a `Ranker` by the AUC within each user, as
    in `evaluate_ranker`. What is left of the metric is what the model can do without knowing which
    value belongs to whom (permutation importance, Breiman 2001). Of features that say the same,
    each may look unimportant, as the other remains. Those of the context are measured for a
    `Ranker` alone, as `evaluate` knows no requests.

    Args:
      model: a trained `TwoTower` or `Ranker` with declared features.
      split: a `Split` with test events; take `Split.validation` if the result steers the training.
      features: names such as "item/brand" and "user/age"; None for all. See `feature_names`.
      k: cut-off of the NDCG; unused for a `Ranker`.
      repeats: permutations of each feature; drops are their means.
      users: largest number of evaluated users, drawn by the seed; None for all.
      history: number of last items of a history that are read; 0 measures the features of users
        where the model knows nothing else.
      bootstrap: number of resamples of the users for the intervals.
      seed: of permutations, resamples and a `Ranker`'s negatives. The permutations of a feature do
        not depend on the other features.

    Returns:
      One row per feature, the largest drop first: `side`, `feature`, `coverage` (see
      `feature_coverage`), `drop` (mean over users of the metric less that with permuted values;
      below 0 by chance alone), `low` and `high`, its 95 % percentile interval over users.

    Raises:
      InputError: a model without declared features, an unknown feature, or a bad argument.

    Example:
      >>> words = tff.features.Tags(column="title", separator=" ")
      >>> declared = tff.features.Features(item=[words])
      >>> featured = tff.models.TwoTower(split.train, dim=4, features=declared)
      >>> feature_importance(featured, split, repeats=1)["feature"].tolist()
      ['title']
    """
    names = feature_names(model)
    if not names:
        raise InputError(
            "feature_importance: the model has no declared features that can be measured; pass "
            "features= to it. "
            f"Received: {type(model).__name__}"
        )
    chosen = names if features is None else list(dict.fromkeys(features))
    unknown = [name for name in chosen if name not in names]
    if unknown or isinstance(features, str) or not chosen:
        raise InputError(
            f"feature_importance: features must be a list of {', '.join(names)}. "
            f"Received: {features!r}"
        )
    for field, value in (("repeats", repeats), ("users", 1 if users is None else users)):
        if value < 1:
            raise InputError(f"feature_importance: {field} must be at least 1. Received: {value}")
    if bootstrap < 1:
        raise InputError(
            f"feature_importance: bootstrap must be at least 1 resample. Received: {bootstrap}"
        )
    split = _sampled(split, users, seed)

    measured = (
        _OnCatalogue(model, split, k, history)
        if getattr(model, "ranks_catalogue", True)
        else _OnPairs(model, split, seed, history)
    )
    whole, drops = measured.whole(), []
    for name in chosen:
        rng = np.random.default_rng([seed, names.index(name)])
        permuted = [measured.permuted(name, rng) for _ in range(repeats)]
        drops.append(whole - np.mean(permuted, 0))
    values = np.stack(drops, 1)
    low, high = interval(resampled_means(values, bootstrap, seed))
    coverage = feature_coverage(model, split.train)
    frame = pd.DataFrame([name.split("/", 1) for name in chosen], columns=["side", "feature"])
    frame["coverage"] = [coverage[name] for name in chosen]
    frame["drop"], frame["low"], frame["high"] = values.mean(0), low, high
    return frame.sort_values("drop", ascending=False, ignore_index=True)


def feature_names(model) -> list[str]:
    """Returns the names of the declared features that can be measured, e.g. "item/brand"."""
    fixed = {"context"} if getattr(model, "ranks_catalogue", True) else set()
    if fixed and not hasattr(model, "tower"):  # a blend, whose members read its items
        fixed.add("item")
    return [
        f"{table}/{one.name}"
        for table, side in _sides(model).items()
        for one in side.features
        if table not in fixed
    ]


def feature_coverage(model, events: Interactions) -> dict[str, float]:
    """Returns the share of items, users, events or past events that have a value of each feature.

    A tag or vector that is unknown or missing is no value; an unseen category is one.

    Args:
      model: a model with declared features.
      events: events with the columns that it reads.
    """
    check_features(model.spec, events)
    encoded, found = side_values(events, model.spec), {}
    if model.spec.context_side is not None:
        contexts = encoded_context(model.spec.context_side, events)
        encoded["context_side"] = contexts[CONTEXT_FIELDS[0]], contexts[CONTEXT_FIELDS[1]]
    if model.spec.event_side is not None:
        encoded["event_side"] = State.of(events).event_features(model.spec.event_side)
    for table, side in _sides(model).items():
        rows, numbers = encoded[f"{table}_side"]
        for one, columns, flags in _parts(side):
            # The last of a feature's numbers is its flag for missing values.
            here = (rows[:, columns] >= 0).any(1) if one.width else numbers[:, flags][:, -1] == 0
            found[f"{table}/{one.name}"] = float(here.mean())
    return found


def _sides(model) -> dict[str, Side]:
    spec = getattr(model, "spec", None)
    tables = ("item", "user", "context", "event")
    sides = {table: getattr(spec, f"{table}_side", None) for table in tables}
    return {table: side for table, side in sides.items() if side is not None}


def _columns(model, name: str) -> list[slice]:
    """The slices of a feature's category and number columns."""
    table, _, column = name.partition("/")
    return next(parts for one, *parts in _parts(_sides(model)[table]) if one.name == column)


def _parts(side: Side) -> Iterator[tuple]:
    """The features of a side, with the slices of their category and number columns."""
    row = number = 0
    for one in side.features:
        yield one, slice(row, row + one.width), slice(number, number + one.n_numbers)
        row, number = row + one.width, number + one.n_numbers


def _sampled(split: Split, most: int | None, seed: int) -> Split:
    users = split.targets()[0]
    if most is None or len(users) <= most:
        return split
    chosen = np.random.default_rng(seed).choice(users, most, replace=False)
    test = split.test.select(np.isin(split.test.user, chosen))
    return Split(split.train, test, split.kind, split.time)


class _OnCatalogue:
    """NDCG@k of each user over the full catalogue."""

    def __init__(self, model, split: Split, k: int, history: int | None):
        self._model, self._split, self._k, self._history = model, split, k, history

    def whole(self) -> np.ndarray:
        return self._ndcg(self._model)

    def permuted(self, name: str, rng: np.random.Generator) -> np.ndarray:
        columns = _columns(self._model, name)
        table = name.partition("/")[0]
        if table != "item":
            return self._ndcg(_Permuted(self._model, table, columns, rng))
        with _exchanged_rows(self._model.tower.features, columns, rng):
            return self._ndcg(self._model)

    def _ndcg(self, ranking) -> np.ndarray:
        report = evaluate(
            ranking,
            self._split,
            k=(self._k,),
            slices=False,
            bootstrap=0,
            history=self._history,
            progress=False,
        )
        return report.per_user[f"ndcg@{self._k}"]


class _OnPairs:
    """AUC of each user's test events against sampled negatives, in their contexts."""

    def __init__(self, model, split: Split, seed: int, history: int | None):
        if history is not None and history < 0:
            raise InputError(
                f"feature_importance: history must be 0 or more, or None. Received: {history!r}"
            )
        self._model = model
        self._logits = tf.function(model, reduce_retracing=True)
        self._negatives = tested_negatives(split)
        self._batches = list(tested_pairs(model, split, self._negatives, seed))
        if history is not None:
            for batch in self._batches:
                width = batch["history"].shape[1]
                read = tf.range(width) >= width - history
                batch["history"] = tf.where(read, batch["history"], -1)

    def whole(self) -> np.ndarray:
        return self._aucs(self._batches)

    def permuted(self, name: str, rng: np.random.Generator) -> np.ndarray:
        columns = _columns(self._model, name)
        if name.startswith("context/"):
            return self._aucs(_exchanged_fields(self._batches, CONTEXT_FIELDS, columns, rng))
        if name.startswith("event/"):
            return self._aucs(_exchanged_fields(self._batches, EVENT_FIELDS, columns, rng))
        features = self._model.features
        layer = features.user_side if name.startswith("user/") else features.tower.features
        with _exchanged_rows(layer, columns, rng):
            return self._aucs(self._batches)

    def _aucs(self, batches: Iterable[dict]) -> np.ndarray:
        users, labels, scores = [], [], []
        for batch in batches:
            users.append(np.repeat(batch["user"], 1 + self._negatives))
            labels.append(batch["label"].numpy().ravel())
            scores.append(self._logits(batch).numpy().ravel())
        found = user_aucs(*map(np.concatenate, (users, labels, scores)))[0]
        known = ~np.isnan(found)
        if not known.any():
            raise InputError(
                "feature_importance: no user has both a test event that was taken and one that was "
                f"not, which an AUC needs. Received: {len(found)} users"
            )
        return found[known]


def _exchanged_fields(
    batches: list[dict], fields: tuple[str, str], columns, rng: np.random.Generator
) -> Iterator[dict]:
    """Permutes values of a feature among all requests, or among the events of all histories."""
    shown = [np.ones(len(batch["user"]), bool) for batch in batches]
    if fields is EVENT_FIELDS:
        shown = [batch["history"].numpy() >= 0 for batch in batches]
    pairs = list(zip(batches, shown, strict=True))
    whole = [np.concatenate([b[field].numpy()[here] for b, here in pairs]) for field in fields]
    bounds = np.cumsum([here.sum() for here in shown])[:-1]
    parts = [np.split(values, bounds) for values in _exchanged(whole, columns, rng)]
    for batch, here, *values in zip(batches, shown, *parts, strict=True):
        changed = {field: batch[field].numpy().copy() for field in fields}
        for field, value in zip(fields, values, strict=True):
            changed[field][here] = value
        yield batch | {field: tf.constant(value) for field, value in changed.items()}


@contextmanager
def _exchanged_rows(layer, columns, rng: np.random.Generator):
    """Permutes values of the features that a model stores, for as long as the context lasts."""
    stored = layer.rows.numpy(), layer.numbers.numpy()
    layer.assign(*_exchanged(stored, columns, rng))
    try:
        yield
    finally:
        layer.assign(*stored)


class _Permuted:
    """A model whose users or past events have the values of others."""

    def __init__(self, model, table: str, columns, rng: np.random.Generator):
        self._model, self._permuted = model, (table, columns, rng)
        self.name = model.name

    def scorer(self, state: State):
        return self._model.scorer(_PermutedState(state, *self._permuted))


class _PermutedState(State):
    def __init__(self, state: State, table: str, columns, rng: np.random.Generator):
        super().__init__(state.events, state.time, state.last, state.impressions)
        self._table, self._columns, self._rng = table, columns, rng

    def user_features(self, side: Side) -> tuple[np.ndarray, np.ndarray]:
        return self._of("user", super().user_features(side))

    def event_features(self, side: Side) -> tuple[np.ndarray, np.ndarray]:
        return self._of("event", super().event_features(side))

    def _of(self, table: str, encoded: tuple[np.ndarray, np.ndarray]):
        if table != self._table:
            return encoded
        return _exchanged(encoded, self._columns, self._rng)


def _exchanged(encoded, columns, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Permutes some columns of encoded categories and numbers, both by the same order."""
    order = rng.permutation(len(encoded[0]))
    found = []
    for values, part in zip(encoded, columns, strict=True):
        values = values.copy()
        values[:, part] = values[order][:, part]
        found.append(values)
    return tuple(found)
