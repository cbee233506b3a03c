"""Where a score came from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tfrec_fusion.data import Interactions
from tfrec_fusion.embeddings import AlignedVectors
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.models import PairScorer, TwoTower
from tfrec_fusion.models.explained.shapley import shapley_weights, subsets

_PAIRS = 1024  # explained at once


def explain(
    model: TwoTower,
    events: Interactions,
    users: str | Sequence[str],
    items: str | Sequence[str],
    *,
    at: float | None = None,
    nearest: int = 3,
    store: str | None = None,
) -> pd.DataFrame:
    """The shares of a model's inputs in the scores of user-item pairs, which add up to the scores.

    A share is an input's Shapley value: what its presence adds to the score, averaged over all
    orders in which the inputs can be shown to the model. With v(S) the score when only the inputs S
    of the n are shown, to the item and to the user's history alike (`PairScorer`):

        share_p = sum over S without p of |S|! (n - |S| - 1)! / n! * (v(S + p) - v(S))

    and the bias is v of nothing: what an average item with the unknown id and no vectors gets. The
    inputs are few, so all 2^n scores are computed and the shares are exact under every fusion.
    Where the fusion is linear (`sum`, `concat`) the score is bilinear in the two sides' inputs, and
    a share is an input's product with itself and half of its products with the others. Integrated
    gradients give the same shares there, but elsewhere only approach the score, and only where it
    is smooth down to a missing input: tests/evaluation/test_explanation.py has their residual under
    `gate`.

    A share tells what the model did with an input, not what the input is worth: what id and text
    both say is split between them.

    Args:
      model: a trained `TwoTower`.
      events: histories and trends come from here; the vocabularies must be the model's.
      users: user ids, one a pair, or one for all pairs. An unknown user is one without history.
      items: item ids, likewise.
      at: unix time of scoring; the moment after the last event by default.
      nearest: how many items of the history to name beside each pair.
      store: whose cosines say which are nearest: a name of the catalogue's vectors. "text" or else
        the first by default.

    Returns:
      A row a pair: `user_id`, `item_id`, `score`; the shares `id` (item and user ids, item biases),
      one for each of the model's vectors, `context` (recency, trend and numbers of the item, size
      and recency of the history) and `bias`; `nearest_items` and `nearest_cosines`, lists of ids
      and floats, the most similar first, empty where item or history have no vector.

    Raises:
      InputError: another model, other vocabularies, an unknown item or store, or a number of users
        that differs from that of the items.

    Example:
      >>> shares = explain(model, split.train, "u17", ["i3", "i4"])
      >>> list(shares.columns)[:7]
      ['user_id', 'item_id', 'score', 'id', 'text', 'context', 'bias']
    """
    if not getattr(model, "explains", False):
        raise InputError(f"explain: model must be a TwoTower. Received: {type(model).__name__}")
    if nearest < 0:
        raise InputError(f"explain: nearest must be 0 or more items. Received: {nearest}")
    users, items = _pairs(users, items)
    item_rows = _item_rows(events, items)
    user_rows = events.users.rows(users)
    state = State.of(events, at)
    scorer = PairScorer(model, state)
    taken = {"user_id", "item_id", "score", "bias", "nearest_items", "nearest_cosines"}
    if taken & set(scorer.inputs) or len(set(scorer.inputs)) < len(scorer.inputs):
        raise InputError(
            "explain: a vector's name is that of another column; rename it in the catalogue. "
            f"Received: {list(model.tower.frozen)}"
        )
    columns = {"score": [], **{name: [] for name in scorer.inputs}, "bias": []}
    for start in range(0, len(users), _PAIRS):
        part = slice(start, start + _PAIRS)
        score, shares, bias = _shapley(scorer, user_rows[part], item_rows[part])
        for name, values in {"score": score, **shares, "bias": bias}.items():
            columns[name].append(values)
    frame = pd.DataFrame({"user_id": users, "item_id": items})
    for name, values in columns.items():
        frame[name] = np.concatenate(values) if values else np.zeros(0)
    found = _nearest(state, user_rows, item_rows, nearest, _vectors(events, store))
    frame["nearest_items"] = [ids for ids, _ in found]
    frame["nearest_cosines"] = [cosines for _, cosines in found]
    return frame


def _shapley(
    score: PairScorer, users: np.ndarray, items: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Scores, shares by name and bias, `[P]` float64 each."""
    names = score.inputs
    hidden = [set(names) - shown for shown in subsets(names)]
    values = np.stack([score(users, items, one).astype(np.float64) for one in hidden])
    return values[-1], dict(zip(names, shapley_weights(names) @ values, strict=True)), values[0]


def _pairs(users, items) -> tuple[list[str], list[str]]:
    users, items = ([x] if isinstance(x, str) else list(x) for x in (users, items))
    if len(users) == 1:
        users *= len(items)
    if len(items) == 1:
        items *= len(users)
    if len(users) != len(items):
        raise InputError(
            f"explain: users and items must be equally many, or one. Received: {len(users)} users "
            f"and {len(items)} items"
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
        raise InputError(f"explain: store: the catalogue has {list(vectors)}. Received: {store!r}")
    return vectors[store]


def _nearest(
    state: State,
    users: np.ndarray,
    items: np.ndarray,
    count: int,
    vectors: AlignedVectors | None,
) -> list[tuple[list[str], list[float]]]:
    """Ids and cosines of the items of each user's history that are most like the pair's item."""
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
