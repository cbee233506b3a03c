"""Chooses how strongly a spectral fusion is regularised, on held-out events."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby, product
from typing import Any

import numpy as np
from scipy import sparse

from tfrec_fusion.embeddings import SpectralFusion
from tfrec_fusion.retrieval.counted_ranks import top_items

POWERS = (0.0, 0.15)
"""Powers of popularity to choose from."""
DISLIKES = (0.0, 0.6)
"""Weights of dislikes to choose from."""
_SHARE = 0.1  # of the events to hold out
_FEWEST, _MOST = 50, 2000  # held-out users
_BLOCK = 256  # users to score at a time
_TOP = 10
_log = logging.getLogger(__name__)


def chosen_fusion(
    options: dict[str, Any],
    interactions: sparse.csr_matrix,
    text: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    disliked: sparse.csr_matrix | None = None,
    dislike_penalty: float = 0.0,
) -> SpectralFusion:
    """Returns a `SpectralFusion` whose options of None are chosen on a random tenth of the events.

    For each `popularity_power` of `POWERS` and `dislike_weight` of `DISLIKES` the other events are
    decomposed once; the `regularization`, on a grid of factors of 1.4 around 80 + 8 x the events
    per warm item, only scales the result. The best NDCG@10 of the held-out events wins. It is
    measured on at most 2,000 users; with fewer than 50 there is no choice: the middle of the grid,
    power 0 and no dislikes.

    Args:
      options: of `SpectralFusion`; `regularization`, `popularity_power` and `dislike_weight` may be
        None.
      interactions: `[users, items]`, 1 for each training pair.
      text, mask, disliked: as in `SpectralFusion.fit`.
      dislike_penalty: as in `SpectralVectors.user_vectors`; only where dislikes have a weight.
    """
    X = sparse.csr_matrix(interactions, dtype=np.float32)
    middle = 80 + 8 * X.nnz / max(len(np.unique(X.indices)), 1)
    tried: dict[str, Sequence[float]] = {
        "popularity_power": POWERS,
        "dislike_weight": (0.0,) if disliked is None else DISLIKES,
        "regularization": [middle * 1.4**step for step in range(-4, 7)],
    }
    tried |= {name: (options[name],) for name in tried if options[name] is not None}
    choices = [dict(zip(tried, values, strict=True)) for values in product(*tried.values())]
    if len(choices) == 1:
        return SpectralFusion(**options | choices[0])
    seed = options.get("seed", 0)
    kept, held_out = _parts(X, seed)
    users = np.flatnonzero((np.diff(kept.indptr) > 0) & (np.diff(held_out.indptr) > 0))
    if len(users) < _FEWEST:
        _log.info("spectral: %d users with held-out events are too few for a choice", len(users))
        simple = {"popularity_power": 0.0, "dislike_weight": 0.0, "regularization": middle}
        simple |= {name: options[name] for name in tried if options[name] is not None}
        return SpectralFusion(**options | simple)
    if len(users) > _MOST:
        users = np.sort(np.random.default_rng(seed).choice(users, _MOST, replace=False))
    found = []
    for first, group in groupby(choices, lambda choice: tuple(choice.values())[:2]):
        group = list(group)
        factors = SpectralFusion(**options | group[0]).factors(kept, text, mask, disliked)
        less = None if disliked is None or not first[1] else disliked[users]
        for choice in group:
            vectors = factors.vectors(choice["regularization"])
            queries = vectors.user_vectors(kept[users], less, dislike_penalty)
            found.append(_ndcg(queries, vectors.vectors, kept[users], held_out[users]))
    best = choices[int(np.argmax(found))]
    _log.info(
        "spectral: chose %s of %d settings: NDCG@10 %.4f on held-out events of %d users",
        ", ".join(f"{name}={value:.4g}" for name, value in best.items()),
        len(choices),
        max(found),
        len(users),
    )
    return SpectralFusion(**options | best)


def _parts(X: sparse.csr_matrix, seed: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Splits the events of a matrix at random into those to keep and those to hold out."""
    pairs = X.tocoo()
    out = np.random.default_rng(seed).random(pairs.nnz) < _SHARE
    return tuple(  # pyright: ignore[reportReturnType]
        sparse.csr_matrix((pairs.data[part], (pairs.row[part], pairs.col[part])), X.shape)
        for part in (~out, out)
    )


def _ndcg(
    queries: np.ndarray, vectors: np.ndarray, kept: sparse.csr_matrix, wanted: sparse.csr_matrix
) -> float:
    """Mean NDCG@10 of the items `wanted` among all items but those kept."""
    discounts = 1 / np.log2(np.arange(2, _TOP + 2))
    ideal = np.cumsum(discounts)[np.minimum(np.diff(wanted.indptr), _TOP) - 1]
    gains = []
    for start in range(0, len(queries), _BLOCK):
        block = slice(start, start + _BLOCK)
        scores = queries[block] @ vectors.T
        scores[kept[block].nonzero()] = -np.inf
        tops = top_items(scores, _TOP)
        rows = np.repeat(np.arange(len(tops)), _TOP)
        hits = np.asarray(wanted[block][rows, np.maximum(tops, 0).ravel()]).reshape(tops.shape)
        gains.append(((hits > 0) & (tops >= 0)) @ discounts)
    return float(np.mean(np.concatenate(gains) / ideal))
