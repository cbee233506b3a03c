"""What the declared features add to a model's ranking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd

from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.bootstrap import interval, resampled_means
from tfrec_fusion.evaluation.protocol import evaluate
from tfrec_fusion.features.side import Side
from tfrec_fusion.features.state import State
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
    """Measures how much NDCG@k drops when the values of a feature are permuted.

    The values of one declared feature are exchanged at random among all items, or among all users,
    and the model, which is not trained again, is evaluated as by `evaluate`. What is left of the
    metric is what the model can do without knowing which value belongs to whom (permutation
    importance, Breiman 2001). Of features that say the same, each may look unimportant, as the
    other remains.

    Args:
      model: a trained `TwoTower` or `Ranker` with declared features.
      split: a `Split` with test events; take `Split.validation` if the result steers the training.
      features: names such as "item/brand" and "user/age"; None for all. See `feature_names`.
      k: cut-off of the NDCG.
      repeats: permutations of each feature; drops are their means.
      users: largest number of evaluated users, drawn by the seed; None for all.
      history: as for `evaluate`; 0 measures the features of users where the model knows nothing
        else.
      bootstrap: number of resamples of the users for the intervals.
      seed: of permutations and resamples. The permutations of a feature do not depend on the other
        features.

    Returns:
      One row per feature, the largest drop first: `side`, `feature`, `coverage` (see
      `feature_coverage`), `drop` (mean over users of NDCG@k less that with permuted values; below
      0 by chance alone), `low` and `high`, its 95 % percentile interval over users.

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
            "feature_importance: the model has no declared features of items or users; pass "
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

    def ndcg(ranking) -> np.ndarray:
        report = evaluate(ranking, split, k=(k,), slices=False, bootstrap=0, history=history)
        return report.per_user[f"ndcg@{k}"]

    whole, drops = ndcg(model), []
    for name in chosen:
        rng = np.random.default_rng([seed, names.index(name)])
        permuted = []
        for _ in range(repeats):
            with _permuted(model, name, rng) as ranking:
                permuted.append(ndcg(ranking))
        drops.append(whole - np.mean(permuted, 0))
    values = np.stack(drops, 1)
    low, high = interval(resampled_means(values, bootstrap, seed))
    coverage = feature_coverage(model, split.train)
    frame = pd.DataFrame([name.split("/", 1) for name in chosen], columns=["side", "feature"])
    frame["coverage"] = [coverage[name] for name in chosen]
    frame["drop"], frame["low"], frame["high"] = values.mean(0), low, high
    return frame.sort_values("drop", ascending=False, ignore_index=True)


def feature_names(model) -> list[str]:
    """Returns the names of a model's declared features, e.g. "item/brand"; [] without any."""
    return [f"{table}/{one.name}" for table, side in _sides(model) for one in side.features]


def feature_coverage(model, events: Interactions) -> dict[str, float]:
    """Returns the share of all items, or of the events' users, that have a value of each feature.

    A tag or vector that is unknown or missing is no value; an unseen category is one.

    Args:
      model: a model with declared features.
      events: events with the columns that it reads.
    """
    check_features(model.spec, events)
    encoded, found = side_values(events, model.spec), {}
    for table, side in _sides(model):
        rows, numbers = encoded[f"{table}_side"]
        for one, columns, flags in _parts(side):
            # The last of a feature's numbers is its flag for missing values.
            here = (rows[:, columns] >= 0).any(1) if one.width else numbers[:, flags][:, -1] == 0
            found[f"{table}/{one.name}"] = float(here.mean())
    return found


def _sides(model) -> list[tuple[str, Side]]:
    spec = getattr(model, "spec", None)
    sides = [("item", getattr(spec, "item_side", None)), ("user", getattr(spec, "user_side", None))]
    return [(table, side) for table, side in sides if side is not None]


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


@contextmanager
def _permuted(model, name: str, rng: np.random.Generator):
    """Gives the model with the values of a feature permuted."""
    table, _, column = name.partition("/")
    side = dict(_sides(model))[table]
    columns = next(parts for one, *parts in _parts(side) if one.name == column)
    if table == "user":
        yield _PermutedUsers(model, columns, rng)
        return
    # The features of items are stored in the model.
    layer = model.tower.features
    stored = layer.rows.numpy(), layer.numbers.numpy()
    layer.assign(*_exchanged(stored, columns, rng))
    try:
        yield model
    finally:
        layer.assign(*stored)


class _PermutedUsers:
    """A model whose users have the values of others."""

    def __init__(self, model, columns, rng: np.random.Generator):
        self._model, self._columns, self._rng = model, columns, rng
        self.name = model.name

    def scorer(self, state: State):
        return self._model.scorer(_PermutedState(state, self._columns, self._rng))


class _PermutedState(State):
    def __init__(self, state: State, columns, rng: np.random.Generator):
        super().__init__(state.events, state.time, state.last)
        self._columns, self._rng = columns, rng

    def user_features(self, side: Side) -> tuple[np.ndarray, np.ndarray]:
        return _exchanged(super().user_features(side), self._columns, self._rng)


def _exchanged(encoded, columns, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Permutes some columns of encoded categories and numbers, both by the same order."""
    order = rng.permutation(len(encoded[0]))
    found = []
    for values, part in zip(encoded, columns, strict=True):
        values = values.copy()
        values[:, part] = values[order][:, part]
        found.append(values)
    return tuple(found)
