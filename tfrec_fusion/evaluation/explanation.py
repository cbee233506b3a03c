"""Explains scores by Shapley values of the model's inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tfrec_fusion.data import Interactions
from tfrec_fusion.embeddings import AlignedVectors
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State

_PAIRS = 1024  # pairs explained at once


def explain(
    model,
    events: Interactions,
    users: str | Sequence[str],
    items: str | Sequence[str],
    *,
    at: float | None = None,
    nearest: int = 3,
    store: str | None = None,
) -> pd.DataFrame:
    """Explains the scores of user-item pairs: the shares of the inputs add up to the score.

    A share is an input's Shapley value: what the input adds to the score, averaged over all orders
    in which the inputs can be revealed to the model. With v(S) the score if only the inputs S of
    the n are revealed, to the item and to the user's history alike (`PairScorer`):

        share_p = sum over S without p of |S|! (n - |S| - 1)! / n! * (v(S + p) - v(S))

    The bias is v of the empty set: the score of an average item with the unknown id and no vectors.
    As the inputs are few, all 2^n scores are computed and the shares are exact for every fusion.
    For a linear fusion (`sum`, `concat`) the score is bilinear in the inputs of the two sides, and
    a share is an input's product with itself plus half of its products with the others. Integrated
    gradients give the same shares there; for other fusions they only approach the score, and only
    if it is smooth down to a missing input (tests/evaluation/test_explanation.py measures their
    residual for `gate`).

    A share tells how the model used an input, not what the input is worth: information that is in
    both id and text is split between them.

    Args:
      model: a trained `TwoTower`, or a `Blend`, whose shares are those of its members and need no
        Shapley values, as they add up to the score.
      events: events for histories and trends, with the model's vocabularies.
      users: user ids, one per pair, or one for all pairs. Unknown users have no history.
      items: item ids, likewise; all must be known.
      at: unix time of scoring; by default the moment after the last event.
      nearest: number of nearest items of the history to return for each pair.
      store: name of the catalogue's vectors whose cosines define the nearest items; by default
        "text", else the first.

    Returns:
      One row per pair: `user_id`, `item_id`, `score`; the shares `id` (item and user ids, item
      biases), one share for each of the model's vectors, `features` (declared features of item and
      user, if the model has any), `request` (the context of requests, of which only the time is
      known here, if the model reads one), `context` (recency, trend and numbers of
      the item, size and recency of the history) and `bias`; `nearest_items` and `nearest_cosines`,
      lists of ids and floats, the most similar first, empty if item or history have no vector. For
      a blend, one share for each member in the place of these, "cold", what the order of the unseen
      items changes, if the blend has such an order, and a bias of 0.

    Raises:
      InputError: another model, other vocabularies, an unknown item or store, or different numbers
        of users and items.

    Example:
      >>> shares = explain(model, split.train, "u17", ["i3", "i4"])
      >>> list(shares.columns)[:7]
      ['user_id', 'item_id', 'score', 'id', 'text', 'context', 'bias']
    """
    if not getattr(model, "explains", False):
        kind = type(model).__name__
        spec = getattr(model, "spec", None)
        if getattr(spec, "repeats", "first") == "all":
            kind = f"{kind} of repeats='all'"
        raise InputError(
            "explain: model must be a TwoTower of first events or a Blend, as other scores are not "
            f"split into shares. Received: {kind}"
        )
    if nearest < 0:
        raise InputError(f"explain: nearest must be 0 or more items. Received: {nearest}")
    users, items = _pairs(users, items)
    if model.spec.user_side is not None:
        events = events.with_table_users()
    item_rows = _item_rows(events, items)
    user_rows = events.users.rows(users)
    state = State.of(events, at)
    explainer = model.explainer(state)
    taken = {"user_id", "item_id", "score", "bias", "nearest_items", "nearest_cosines"}
    inputs = explainer.inputs
    if taken & set(inputs) or len(set(inputs)) < len(inputs):
        raise InputError(
            "explain: a store of vectors has the name of another column of the result; rename it "
            f"in the catalogue. Received: {list(inputs)}"
        )
    columns = {"score": [], **{name: [] for name in inputs}, "bias": []}
    for start in range(0, len(users), _PAIRS):
        part = slice(start, start + _PAIRS)
        score, shares, bias = explainer.explained(user_rows[part], item_rows[part])
        for name, values in {"score": score, **shares, "bias": bias}.items():
            columns[name].append(values)
    frame = pd.DataFrame({"user_id": users, "item_id": items})
    for name, values in columns.items():
        frame[name] = np.concatenate(values) if values else np.zeros(0)
    found = _nearest(state, user_rows, item_rows, nearest, _vectors(events, store))
    frame["nearest_items"] = [ids for ids, _ in found]
    frame["nearest_cosines"] = [cosines for _, cosines in found]
    return frame


def _pairs(users, items) -> tuple[list[str], list[str]]:
    users, items = ([x] if isinstance(x, str) else list(x) for x in (users, items))
    if len(users) == 1:
        users *= len(items)
    if len(items) == 1:
        items *= len(users)
    if len(users) != len(items):
        raise InputError(
            f"explain: users and items must have the same length, or length 1. Received: "
            f"{len(users)} users and {len(items)} items"
        )
    return users, items


def _item_rows(events: Interactions, items: list[str]) -> np.ndarray:
    rows = events.catalogue.vocabulary.rows(items)
    if (rows < 0).any():
        unknown = items[int(np.argmax(rows < 0))]
        raise InputError(f"explain: items: the catalogue has no item {unknown!r}")
    return rows


def _vectors(events: Interactions, store: str | None) -> AlignedVectors | None:
    vectors = events.catalogue.vectors
    if store is None:
        return vectors.get("text", next(iter(vectors.values()), None))
    if store not in vectors:
        raise InputError(
            f"explain: store: must be one of the catalogue's vectors, {list(vectors)}. "
            f"Received: {store!r}"
        )
    return vectors[store]


def _nearest(
    state: State,
    users: np.ndarray,
    items: np.ndarray,
    count: int,
    vectors: AlignedVectors | None,
) -> list[tuple[list[str], list[float]]]:
    """Ids and cosines of the history items that are most similar to each pair's item."""
    histories, ids = state.histories, state.catalogue.vocabulary.ids
    found = []
    for user, item in zip(users, items, strict=True):
        past = histories.of(user)
        usable = np.zeros(len(past), bool)
        cosines = np.zeros(0)
        if vectors is not None and vectors.mask[item]:
            usable = vectors.mask[past] & (past != item)
            cosines = _cosines(vectors.values[past[usable]], vectors.values[item])
        past = past[usable]
        best = np.argsort(-cosines, kind="stable")[:count]
        found.append((ids[past[best]].tolist(), cosines[best].tolist()))
    return found


def _cosines(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    rows, vector = rows.astype(np.float64), vector.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
    return rows @ vector / np.maximum(norms, np.finfo(np.float64).tiny)
