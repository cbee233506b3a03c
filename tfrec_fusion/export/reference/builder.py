"""Builds a version's reference from the model's answers for training users."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.export.reference.categories import Categories
from tfrec_fusion.export.reference.distribution import Distribution
from tfrec_fusion.export.reference.popularity import GROUPS, popularity_groups
from tfrec_fusion.export.reference.reference import Reference
from tfrec_fusion.export.reference.statistics import gini

REQUESTS = 1000
DEPTH = 10
_CANDIDATES = 10
_BATCH = 64


def item_events(events: Interactions) -> np.ndarray:
    """`[N]` int32: number of first events of each item."""
    return events.item_counts().astype(np.int32)


def build_reference(
    serving_default: Callable,
    events: Interactions,
    ranks: bool = False,
    context: Mapping[str, np.ndarray] | None = None,
    users: Mapping[str, np.ndarray] | None = None,
) -> Reference:
    """Builds the reference of a model that is being exported; deterministic.

    A recommender is requested for up to 1000 users with a history, sampled uniformly. A ranker is
    requested for the users and contexts of up to 1000 events, each with 10 items sampled in
    proportion to their first events.

    Args:
      serving_default: the signature: tensors by name in, `score` and, for a recommender, `item_id`
        out.
      events: all events before the export, with impressions and repeated events, as their contexts
        occur in requests too.
      ranks: whether the model is a ranker, which scores given items.
      context: inputs of requests that give a context -> their values `[n_events]` in events,
        float64 or texts.
      users: inputs that give features of users -> their values of users, float64 or texts.
    """
    random = np.random.default_rng(0)
    histories, items = events.histories(), item_events(events)
    groups = popularity_groups(items)
    context, users = dict(context or {}), dict(users or {})
    if ranks:
        answers = {"ranks": True, "depth": None}
        answers |= _scored(serving_default, events, context, random)
    else:
        answers = _ranked(serving_default, events, groups, random)
    return Reference(
        history_length=Distribution.of(histories.lengths),
        history_popularity=_group_counts(groups, histories.items),
        features={
            name: (Categories if values.dtype == object else Distribution).of(values)
            for name, values in (context | {n: _given(v) for n, v in users.items()}).items()
        },
        optional=list(users),
        **answers,
    )


def _ranked(ask: Callable, events: Interactions, groups: np.ndarray, random) -> dict:
    users = np.flatnonzero(events.histories().lengths)
    users = random.choice(users, min(REQUESTS, len(users)), replace=False)
    ids, scores = [], []
    for begin in range(0, len(users), _BATCH):
        answer = ask(user_id=tf.constant(events.users.ids[users[begin : begin + _BATCH]]))
        ids.append(answer["item_id"].numpy()[:, :DEPTH])
        scores.append(answer["score"].numpy()[:, :DEPTH])
    nothing = {"ranks": False, "requests": len(users), "depth": DEPTH}
    nothing |= dict.fromkeys(("scores", "best_score", "answered_popularity", "coverage", "gini"))
    if not len(users):
        return nothing
    ids, scores = np.concatenate(ids), np.concatenate(scores)
    found = ids != b""
    rows = events.catalogue.vocabulary.rows([one.decode() for one in ids[found]])
    counts = np.bincount(rows, minlength=len(groups))
    return nothing | {
        "scores": Distribution.of(scores[found.all(1)].ravel()),
        "best_score": Distribution.of(scores[found[:, 0], 0]),
        "answered_popularity": _group_counts(groups, rows),
        "coverage": float((counts > 0).mean()),
        "gini": gini(counts) if len(rows) else None,
    }


def _scored(ask: Callable, events: Interactions, context: dict, random) -> dict:
    chosen = random.choice(len(events), min(REQUESTS, len(events)), replace=False)
    taken = events.counted_events().item
    items = taken[random.integers(0, len(taken), (len(chosen), _CANDIDATES))]
    items = events.catalogue.vocabulary.ids[items]
    users = np.append(events.users.ids, "")  # the last one, at row -1, is the unknown user
    scores = []
    for begin in range(0, len(chosen), _BATCH):
        rows = chosen[begin : begin + _BATCH]
        inputs = {
            "user_id": users[events.user[rows]],
            "item_id": items[begin : begin + _BATCH],
            **{name: values[rows] for name, values in context.items()},
        }
        inputs = {
            name: tf.constant(v, tf.string if v.dtype == object else tf.float64)
            for name, v in inputs.items()
        }
        scores.append(ask(**inputs)["score"].numpy())
    found = {"requests": len(chosen), "best_score": None, "answered_popularity": None}
    return found | {
        "scores": Distribution.of(np.concatenate(scores).ravel()) if scores else None,
        "coverage": None,
        "gini": None,
    }


def _given(values: np.ndarray) -> np.ndarray:
    return values[values != ""] if values.dtype == object else values[~np.isnan(values)]


def _group_counts(groups: np.ndarray, rows: np.ndarray) -> list[int]:
    return np.bincount(groups[rows], minlength=GROUPS).tolist()
