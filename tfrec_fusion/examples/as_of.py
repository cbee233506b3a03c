"""As-of examples: the history before a cut predicts the new items after it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.history import History
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.batch import ExampleBatch, ranges
from tfrec_fusion.examples.continuations import check_whole, continuations
from tfrec_fusion.examples.cuts import cut_times
from tfrec_fusion.examples.epoch_batches import epoch_batches
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.features.context import history_context
from tfrec_fusion.features.item_trend import ItemTrend
from tfrec_fusion.features.side import Side
from tfrec_fusion.times import DAY


def as_of_examples(
    events: Interactions,
    batch_size: int = 512,
    *,
    horizon_days: float = 45.0,
    every_days: float = 7.0,
    max_cuts: int = 150,
    age_days: float = 365.0,
    candidates: int | None = None,
    last: int | None = None,
    known: Interactions | None = None,
    at: float | None = None,
    numbers: Sequence[str] | None = None,
    context_side: Side | None = None,
    seed: int = 0,
    first_epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns batches of users at a cut t: histories before t, and targets within the horizon.

    Cuts lie every `every_days` back from the end of the events, where events follow (see
    `cut_times`). The grid is halved while an epoch has fewer examples than there are returning
    users, e.g. because the events span few days. All examples of a batch share one cut t: their
    inputs are computed from the events before t, and the targets are the new items in `[t, t +
    horizon)`; with `repeats="all"` also those of the history, which is not masked then. An epoch
    visits each user of each cut once, in a new random order. The weight of an example is
    `sqrt(w) exp(-max(T - t, 0) / age_days)`, scaled to a mean of 1, where w is the number of its
    targets, or the sum of their weights (each of repeated events counts), and T is the 99 %
    quantile of the event times. Events of weight 0 are no targets.

    Args:
      events: training events with times.
      batch_size: users per batch.
      horizon_days: length of the target window.
      every_days: days between cuts.
      max_cuts: largest number of cuts; more are thinned out evenly over the events.
      age_days: decay time of the weight of older cuts.
      candidates: None scores the whole catalogue; a number scores that many sampled items besides
        the batch's targets.
      last: keep only this many last events of a history.
      known: for validation, with the held-out events as `events`: the earlier events, for histories
        and item features. There is one cut, and all new items of a user are targets:
        `split.test.batches(known=split.train)`. See `continuations`.
      at: unix time of that cut; by default the moment after the last known event.
      numbers: names of the catalogue's columns among the item features, in order: a model's
        `spec.numbers`; by default the catalogue's `numeric_columns`.
      context_side: the context features of a model, its `spec.context_side`. The context of an
        example is that of its first target after the cut, and the time is that event's: the
        moment at which a request would have been made. Histories and trends stay as of the cut.
      seed: of the order and the sampled candidates.
      first_epoch: number of epochs already done; the dataset continues with the next one.
      shard: (index, count) of the worker; see `epoch_batches`.

    Returns:
      A dataset of known cardinality whose elements are dicts; see `ExampleBatch`.

    Raises:
      InputError: no timestamps, bad sizes, no user with items at two times, `at` without `known`,
        or as in `continuations`.
    """
    if known is not None:
        check_whole("as_of_examples", shard)
        return continuations(
            "as_of_examples",
            events,
            known,
            batch_size,
            dated=True,
            at=at,
            last=last,
            candidates=candidates,
            numbers=numbers,
            context_side=context_side,
            seed=seed,
        )
    if at is not None:
        raise InputError(f"as_of_examples: at needs known=, the earlier events. Received: {at}")
    for name, value in (
        ("batch_size", batch_size),
        ("horizon_days", horizon_days),
        ("every_days", every_days),
        ("max_cuts", max_cuts),
    ):
        if value <= 0:
            raise InputError(f"as_of_examples: {name} must be positive. Received: {value}")
    events = events.counted_events()
    repeated = events.repeats == "all"
    trend = ItemTrend(events, numbers)
    histories = events.histories()
    counts_before, weights = _CountsBefore(histories), events.history_weights()
    # Without weights all events are targets of weight 1.
    wanted = None if weights is None else weights > 0
    targets_before = counts_before if wanted is None else _CountsBefore(histories, wanted)
    mass_before = counts_before if weights is None else _CountsBefore(histories, weights)
    contexts = {} if context_side is None else history_context(context_side, events)
    recent = np.quantile(events.event_times, 0.99)
    bounds = histories.splits
    returning, step = _returning_users(histories), every_days * DAY
    while True:
        times = cut_times(events.event_times, step, horizon_days * DAY, max_cuts)
        users_of, weights_of, total, count = [], [], 0.0, 0
        for time in times.tolist():
            end = time + horizon_days * DAY
            new = targets_before(end) - targets_before(time)
            users = np.flatnonzero((counts_before(time) > 0) & (new > 0)).astype(np.int32)
            mass = (mass_before(end) - mass_before(time))[users]
            shares = np.sqrt(mass) * np.exp(min(time - recent, 0) / (age_days * DAY))
            users_of.append(users)
            weights_of.append(shares)
            total, count = total + shares.sum(), count + len(users)
        if count >= returning or len(times) >= max_cuts:
            break
        step /= 2
    if count == 0:
        raise InputError(
            f"as_of_examples: none of {len(times)} cuts lies between two events of a user; raise "
            f"max_cuts. Received: max_cuts={max_cuts}"
        )
    n_batches = sum(-(-len(users) // batch_size) for users in users_of)
    epochs = Epochs(seed, first_epoch)

    def plan(rng):
        batches = []
        for cut, users in enumerate(users_of):
            order = rng.permutation(len(users))
            batches += [(cut, order[i : i + batch_size]) for i in range(0, len(order), batch_size)]
        return [batches[chosen] for chosen in rng.permutation(len(batches))]

    def build(batches, place, rng):
        cut, order = batches[place]
        time, users = float(times[cut]), users_of[cut][order]
        begin = bounds[users]
        middle = begin + counts_before(time)[users]
        stop = begin + counts_before(time + horizon_days * DAY)[users]
        if last is not None:
            begin = np.maximum(begin, middle - last)
        features, seen = trend.at(time)
        rows, index = ranges(middle, stop)
        if wanted is not None:
            rows, index = rows[wanted[index]], index[wanted[index]]
        if repeated:
            rows, index = _distinct(rows, index, histories.items)
        first = index[np.unique(rows, return_index=True)[1]]
        return ExampleBatch.build(
            users=users,
            history=ranges(begin, middle),
            targets=(rows, index),
            items=histories.items,
            ages=lambda index: (time - histories.event_times[index]) / DAY,
            weight=weights_of[cut][order] * (count / total),
            features=features,
            seen=seen,
            candidates=candidates,
            rng=rng,
            mask_history=not repeated,
            context={name: values[first] for name, values in contexts.items()},
        )

    sampled = candidates is not None
    signature = ExampleBatch.signature(len(trend.names), sampled, context_side, not repeated)
    return epoch_batches(n_batches, plan, build, signature, epochs, shard)


def _distinct(rows: np.ndarray, index: np.ndarray, items: np.ndarray):
    """Keeps the first of each row's events of an item."""
    code = rows * (np.int64(items.max(initial=0)) + 1) + items[index]
    kept = np.sort(np.unique(code, return_index=True)[1])
    return rows[kept], index[kept]


def _returning_users(histories: History) -> int:
    """Counts the users with items at two different times.

    Raises:
      InputError: there are none.
    """
    users = np.repeat(np.arange(len(histories.lengths)), histories.lengths)
    later = (np.diff(histories.event_times) > 0) & (users[1:] == users[:-1])
    if later.any():
        return len(np.unique(users[1:][later]))
    remedy = "pass examples='held_out', which needs no order"
    if histories.lengths.max(initial=0) < 2:
        remedy = "add events, as every user has one item"
    raise InputError(
        "as_of_examples: no user has items at two different times, so none has a history before a "
        f"cut and a target after it; {remedy}. Received: first events of "
        f"{len(histories.lengths)} users"
    )


class _CountsBefore:
    """Counts the events of each user before a time, or sums their weights: `[n_users]`."""

    def __init__(self, histories: History, weights: np.ndarray | None = None):
        users = np.repeat(np.arange(len(histories.lengths)), histories.lengths)
        times = histories.event_times
        order = np.argsort(times, kind="stable")
        self._users, self._times = users[order], times[order]
        self._weights = None if weights is None else weights[order].astype(np.float64)
        self._n_users = len(histories.lengths)

    def __call__(self, time: float) -> np.ndarray:
        end = np.searchsorted(self._times, time)
        weights = None if self._weights is None else self._weights[:end]
        return np.bincount(self._users[:end], weights, self._n_users)
