"""Chooses how the rankings of a search are fused."""

from __future__ import annotations

import itertools
import logging
import numbers
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Interactions, SearchEvents
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.build import Build
from tfrec_fusion.export.search_config import RANKINGS, SearchConfig
from tfrec_fusion.export.served_model import ServedModel
from tfrec_fusion.export.signatures.tensors import QUERY, QUERY_VECTOR, USER
from tfrec_fusion.features.state import State
from tfrec_fusion.models.model import Model
from tfrec_fusion.rerank.business import Business

_BATCH = 64
_COARSE = (0.0, *(2.0**power for power in range(-6, 5)))
_FINE = tuple(2.0 ** (power / 4) for power in range(-3, 4))
_log = logging.getLogger(__name__)


def choose_search_weights(
    model: Model,
    events: Interactions,
    searches: SearchEvents,
    search: SearchConfig | Mapping | bool = True,
    *,
    k: int = 10,
) -> SearchConfig:
    """Returns the fusion and the weights with the best MRR@k on searches, for `export(search=...)`.

    The mean reciprocal rank of the items that were wanted, 0 beyond rank k, of the fusions by ranks
    and by scores, over a grid of weights. Take searches that neither the query tower nor the model
    was trained on: those of later times than the events, of items without a training query (see
    `SearchEvents.split`). Some hundred suffice, as there are two numbers to choose.

    Args:
      model: as for `export`.
      events: those before the searches, whose histories and trends count.
      searches: of users whom the events know, or of nobody, as they are in use; with vectors,
        unless the export encodes the queries or ranks by words alone.
      search: options as for `export`. Rankings of weight 0 stay left out.
      k: last rank that counts.

    Returns:
      The options, with `fusion`, `lexical_weight`, `vector_weight` and `user_weight` chosen. A
      weight of 0 says that the ranking does not help.

    Raises:
      InputError: an option is invalid, there are no searches, they are of other items, or have no
        vectors where vectors are needed.

    Example:
      >>> frame = pd.DataFrame({"query": ["thing 3", "thing 29"], "item_id": ["i3", "i29"]})
      >>> searches = tff.data.SearchEvents.from_frame(frame, split.train.catalogue)
      >>> chosen = choose_search_weights(model, split.train, searches)  # of any model
      >>> tff.export(model, split.train, "x", search=chosen)  # takes seconds  # doctest: +SKIP
    """
    if not isinstance(searches, SearchEvents):
        raise InputError(
            "choose_search_weights: searches must be SearchEvents. "
            f"Received: {type(searches).__name__}"
        )
    if not isinstance(k, numbers.Integral) or isinstance(k, bool) or k < 1:
        raise InputError(f"choose_search_weights: k must be a positive integer. Received: {k!r}")
    config = SearchConfig.of(search)
    if config is None or not len(searches):
        raise InputError(
            "choose_search_weights: needs a search and searches to choose by. "
            f"Received: search={search!r} and {len(searches)} searches"
        )
    if searches.catalogue.vocabulary != events.catalogue.vocabulary:
        raise InputError("choose_search_weights: searches and events must have the same items")
    model.check(events)
    judged = _judged(model, events, searches, config)
    found = [(*_best_weights(judged, fusion, k), fusion) for fusion in judged.shares]
    for mrr, weights, fusion in found:
        _log.info("choose_search_weights: by %s: MRR@%d %.4f with %s", fusion, k, mrr, weights)
    _, weights, fusion = max(found, key=lambda one: one[0])
    chosen = {f"{name}_weight": weights.get(name, 0.0) for name in RANKINGS}
    return config.model_copy(update=chosen | {"fusion": fusion})


class _Judged(NamedTuple):
    """The items `[n, M]` that take part: whether one is there, and is wanted, and its shares."""

    there: np.ndarray
    right: np.ndarray
    shares: dict[str, dict[str, np.ndarray]]  # by fusion and ranking


def _judged(
    model: Model, events: Interactions, searches: SearchEvents, config: SearchConfig
) -> _Judged:
    counted = events.counted_events()
    business = Business.of(counted.catalogue)
    build = Build(model, State.of(events), business, False, None, (), None, search=config)
    rows, found = [], []
    with tempfile.TemporaryDirectory() as folder:
        users, items = Path(folder) / "users.txt", Path(folder) / "items.txt"
        counted.users.save(users)
        counted.catalogue.vocabulary.save(items)
        served = build.served(build.serving("float32"), users, items, "float32")
        if not isinstance(served, ServedModel) or served.searching is None:
            raise InputError(
                "choose_search_weights: needs a model that ranks the catalogue. "
                f"Received: {type(model).__name__}"
            )
        searching = served.searching
        names = {one.name for one in searching.inputs}
        encodes = served.search is not None and served.search.text is not None
        if QUERY_VECTOR.name in names and searches.vectors is None and not encodes:
            raise InputError(
                "choose_search_weights: the searches have no vectors, which the export ranks by; "
                "pass searches.with_vectors(vectors), the encoder of the queries, or "
                f"vector_weight=0. Received: {len(searches)} searches"
            )
        function = tf.function(searching.shares)
        for start in range(0, len(searches), _BATCH):
            part = searches.select(np.arange(start, min(start + _BATCH, len(searches))))
            given = {name: value for name, value in _inputs(part).items() if name in names}
            best, shares = function(given, tf.constant(0))
            rows.append(best.numpy())
            found.append(tf.nest.map_structure(lambda one: one.numpy(), shares))
    every = np.concatenate(rows)
    shares = {
        fusion: {
            ranking: np.concatenate([one[fusion][ranking] for one in found])
            for ranking in RANKINGS
            if ranking in of_fusion
        }
        for fusion, of_fusion in found[0].items()
    }
    return _Judged(every >= 0, every == searches.item[:, None], shares)


def _inputs(searches: SearchEvents) -> dict[str, tf.Tensor]:
    count = len(searches)
    ids = np.full(count, "", object)
    if searches.users is not None:
        known = searches.user >= 0
        ids[known] = searches.users.ids[searches.user[known]]
    none = np.full((count, 1), np.nan)
    vectors = none if searches.vectors is None else searches.vectors
    return {
        QUERY.name: tf.constant(searches.query, tf.string),
        QUERY_VECTOR.name: tf.constant(vectors, tf.float32),
        USER.name: tf.constant(ids, tf.string),
    }


def _best_weights(judged: _Judged, fusion: str, k: int) -> tuple[float, dict[str, float]]:
    """The best MRR@k, and the weights that have it.

    That of the first ranking is 1, or 0 if it tells no items apart.
    """
    shares = judged.shares[fusion]
    spread = [_spread(one, judged.there) for one in shares.values()]
    weights = np.array([(spread[0] or 1.0) / one if one > 0 else 0.0 for one in spread])
    mrr = -1.0
    for factors in (_COARSE, _FINE):
        around = weights
        for others in itertools.product(factors, repeat=len(shares) - 1):
            tried = around * np.array([1.0, *others])
            found = _mrr(judged, [*shares.values()], tried.tolist(), k)
            if found > mrr:
                mrr, weights = found, tried
    rounded = [float(f"{weight:.3g}") for weight in weights]
    return mrr, dict(zip(shares, rounded, strict=True))


def _spread(shares: np.ndarray, there: np.ndarray) -> float:
    """The mean over queries of the standard deviation among the items that take part."""
    queries = there.any(1)
    if not queries.any():
        return 0.0
    return float(shares[queries].std(1, where=there[queries]).mean())


def _mrr(judged: _Judged, shares: Sequence[np.ndarray], weights: Sequence[float], k: int) -> float:
    """The mean reciprocal rank; of equal scores, the item of the lower place comes first."""
    total = np.full(judged.there.shape, -np.inf)
    fused = np.sum([weight * one for weight, one in zip(weights, shares, strict=True)], 0)
    np.copyto(total, fused, where=judged.there)
    place = judged.right.argmax(1)
    own = total[np.arange(len(total)), place][:, None]
    earlier = np.arange(len(total[0])) < place[:, None]
    before = (total > own) | ((total == own) & earlier)
    ranks = 1 + before.sum(1)
    return float(np.where(judged.right.any(1) & (ranks <= k), 1 / ranks, 0.0).mean())
