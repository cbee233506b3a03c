"""As-of examples: the history before a cut predicts the new items after it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.history import History
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.batch import ExampleBatch, ranges
from tfrec_fusion.examples.candidates import resolved_candidates
from tfrec_fusion.examples.continuations import check_whole, continuations
from tfrec_fusion.examples.cuts import cut_times
from tfrec_fusion.examples.epoch_batches import (
    check_count,
    check_shard,
    check_steps,
    epoch_batches,
)
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.examples.item_sampler import ItemSampler, Sampling
from tfrec_fusion.examples.made_from import made_from
from tfrec_fusion.examples.user_cuts import UserCuts
from tfrec_fusion.features.context import history_context
from tfrec_fusion.features.history_events import history_events
from tfrec_fusion.features.item_trend import ItemTrend
from tfrec_fusion.features.side import Side
from tfrec_fusion.times import DAY

# By default an epoch has all examples up to so many, and beyond that so many cuts of each user.
_EXAMPLES = 1 << 18
_CUTS = 4


def as_of_examples(
    events: Interactions,
    batch_size: int = 512,
    *,
    horizon_days: float = 45.0,
    every_days: float = 7.0,
    max_cuts: int = 150,
    age_days: float = 365.0,
    cuts_per_user: int | Literal["auto"] | None = "auto",
    candidates: int | Literal["auto"] | None = "auto",
    sampling: Sampling = "uniform",
    last: int | None = None,
    steps_per_epoch: int | None = None,
    known: Interactions | None = None,
    at: float | None = None,
    numbers: Sequence[str] | None = None,
    context_side: Side | None = None,
    event_side: Side | None = None,
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
    visits each user of each cut once, in a new random order; with many events it draws
    `cuts_per_user` cuts of each user anew, so that it grows with the events. The weight of an
    example is `sqrt(w) exp(-max(T - t, 0) / age_days)`, scaled to a mean of 1, where w is the
    number of its targets, or the sum of their weights (each of repeated events counts), and T is
    the 99 % quantile of the event times. Events of weight 0 are no targets.

    Args:
      events: training events with times.
      batch_size: users per batch.
      horizon_days: length of the target window.
      every_days: days between cuts.
      max_cuts: largest number of cuts; more are thinned out evenly over the events.
      age_days: decay time of the weight of older cuts.
      cuts_per_user: most cuts of a user in an epoch, drawn evenly over the user's cuts; None for
        all of them. "auto" takes as many as give 262,144 examples, but at least 4.
      candidates: None scores the whole catalogue; a number scores that many sampled items besides
        the batch's targets. "auto" samples 8,192 if `batch_size` x items is beyond 2^24, i.e.
        beyond 32,768 items for batches of 512.
      sampling: how they are sampled: "uniform", by "popularity", or half and half, "mixed"; see
        `ItemSampler`.
      last: keep only this many last events of a history.
      steps_per_epoch: most batches of an epoch, drawn anew in each; None for all.
      known: for validation, with the held-out events as `events`: the earlier events, for histories
        and item features. There is one cut, and all new items of a user are targets:
        `split.test.batches(known=split.train)`. See `continuations`.
      at: unix time of that cut; by default the moment after the last known event.
      numbers: names of the catalogue's columns among the item features, in order: a model's
        `spec.numbers`; by default the catalogue's `numeric_columns`.
      context_side: the context features of a model, its `spec.context_side`. The context of an
        example is that of its first target after the cut, and the time is that event's: the
        moment at which a request would have been made. Histories and trends stay as of the cut.
      event_side: the features of events of a model, its `spec.event_side`; the batches then hold
        those of the histories' events.
      seed: of the order and the sampled candidates.
      first_epoch: number of epochs already done; the dataset continues with the next one.
      shard: (index, count) of the worker; see `epoch_batches`.

    Returns:
      A dataset of known cardinality whose elements are dicts; see `ExampleBatch`.

    Raises:
      InputError: no timestamps, bad sizes, no user with items at two times, `at` without `known`,
        or as in `continuations`.
    """
    candidates = resolved_candidates(candidates, len(events.catalogue), batch_size)
    if known is not None:
        check_whole("as_of_examples", shard, steps_per_epoch)
        return continuations(
            "as_of_examples",
            events,
            known,
            batch_size,
            dated=True,
            at=at,
            last=last,
            candidates=candidates,
            sampling=sampling,
            numbers=numbers,
            context_side=context_side,
            event_side=event_side,
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
    check_steps("as_of_examples", steps_per_epoch)
    if cuts_per_user != "auto":
        check_count("as_of_examples", "cuts_per_user", cuts_per_user)
    events = events.counted_events()
    sampler = ItemSampler(sampling, events.item_counts())
    repeated = events.repeats == "all"
    trend = ItemTrend(events, numbers)
    histories = events.histories()
    weights = events.history_weights()
    # Without weights all events are targets of weight 1.
    wanted = None if weights is None else weights > 0
    contexts = {} if context_side is None else history_context(context_side, events)
    past_events = {} if event_side is None else history_events(event_side, events)
    returning, step = _returning_users(histories), every_days * DAY
    while True:
        times = cut_times(events.event_times, step, horizon_days * DAY, max_cuts)
        pairs = UserCuts(histories, times, horizon_days * DAY, wanted)
        count = int(pairs.counts.sum())
        if count >= returning or len(times) >= max_cuts:
            break
        step /= 2
    if count == 0:
        raise InputError(
            f"as_of_examples: none of {len(times)} cuts lies between two events of a user; raise "
            f"max_cuts. Received: max_cuts={max_cuts}"
        )
    most = _most_cuts(pairs.counts) if cuts_per_user == "auto" else cuts_per_user
    whole = pairs.all() if most is None or pairs.counts.max() <= most else None
    lookup = _Positions(histories, times, horizon_days * DAY)
    mass = None if weights is None else np.concatenate([[0.0], np.cumsum(weights, dtype=float)])
    recent = np.quantile(events.event_times, 0.99)
    decay = [np.exp(min(time - recent, 0) / (age_days * DAY)) for time in times.tolist()]

    def drawn(rng):
        """Users of an epoch's examples, by cut, and the place of each cut's first one."""
        users, cuts = pairs.drawn(most or 1, rng) if whole is None else whole
        order = np.argsort(cuts, kind="stable")
        return users[order], np.searchsorted(cuts[order], np.arange(len(times) + 1))

    def n_batches_of(places):
        return int((-(-np.diff(places) // batch_size)).sum())

    # Each epoch of drawn cuts has a slightly different number of batches, but one length is told.
    epochs = Epochs(seed, first_epoch)
    n_batches = n_batches_of(drawn(np.random.default_rng(seed))[1])
    if steps_per_epoch is not None:
        n_batches = min(n_batches, steps_per_epoch * check_shard(shard)[1])

    def plan(rng):
        users, places = drawn(rng)
        shares, batches = np.empty(len(users)), []
        for cut, (start, stop) in enumerate(itertools.pairwise(places.tolist())):
            shares[start:stop] = lookup.masses(users[start:stop], cut, mass)
            shares[start:stop] = np.sqrt(shares[start:stop]) * decay[cut]
            order = start + rng.permutation(stop - start)
            batches += [(cut, order[i : i + batch_size]) for i in range(0, len(order), batch_size)]
        shares *= len(users) / sum(shares[a:b].sum() for a, b in itertools.pairwise(places))
        chosen = rng.permutation(len(batches))
        chosen = np.resize(chosen, n_batches)
        if len(times) > trend.capacity:
            # Features of few cuts are kept, so batches come in groups of so many cuts.
            group = rng.permutation(len(times)) // trend.capacity
            cut_of = np.array([batches[place][0] for place in chosen])
            chosen = chosen[np.argsort(group[cut_of], kind="stable")]
        return users, shares, [batches[place] for place in chosen]

    def build(epoch, place, rng):
        all_users, shares, batches = epoch
        cut, order = batches[place]
        time, users = float(times[cut]), all_users[order]
        begin, middle, stop = lookup(users, cut)
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
            weight=shares[order],
            features=features,
            seen=seen,
            candidates=candidates,
            rng=rng,
            mask_history=not repeated,
            context={name: values[first] for name, values in contexts.items()},
            events=past_events,
            sampler=sampler,
        )

    sampled = candidates is not None
    signature = ExampleBatch.signature(
        len(trend.names), sampled, context_side, not repeated, event_side
    )
    batches = epoch_batches(n_batches, plan, build, signature, epochs, shard)
    return made_from(events, batches)


def _most_cuts(counts: np.ndarray) -> int:
    """The default of `cuts_per_user` for users with so many cuts each."""
    at_least = len(counts) - np.cumsum(np.bincount(counts))[:-1]  # users with more than 0, 1, ...
    return max(int(np.searchsorted(np.cumsum(at_least), _EXAMPLES, "right")), _CUTS)


class _Positions:
    """Finds where the history of a user ends at a cut, and where its targets do.

    A key of user and time is ascending over all events, so one search finds the place.
    """

    def __init__(self, histories: History, cuts: np.ndarray, horizon: float):
        moments = np.unique(histories.event_times)
        owners = np.repeat(np.arange(len(histories.lengths)), histories.lengths)
        self._n_moments = len(moments) + 1
        self._keys = owners * self._n_moments + np.searchsorted(moments, histories.event_times)
        self._begins = histories.splits
        self._middles = np.searchsorted(moments, cuts)
        self._ends = np.searchsorted(moments, cuts + horizon)

    def __call__(self, users: np.ndarray, cut: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns begin and end of the histories, and end of the targets, each `[B]`."""
        keys = users * np.int64(self._n_moments)
        middle = np.searchsorted(self._keys, keys + self._middles[cut])
        return self._begins[users], middle, np.searchsorted(self._keys, keys + self._ends[cut])

    def masses(self, users: np.ndarray, cut: int, sums: np.ndarray | None) -> np.ndarray:
        """Returns the number of targets, or the sum of their weights: `[B]`."""
        _, middle, stop = self(users, cut)
        return stop - middle if sums is None else sums[stop] - sums[middle]


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
