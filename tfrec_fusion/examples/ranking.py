"""Examples for rankers: events and sampled negatives, with features as of an earlier cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.examples.cuts import cut_times
from tfrec_fusion.examples.epoch_batches import check_steps
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.examples.event_fields import EventFields
from tfrec_fusion.examples.made_from import made_from
from tfrec_fusion.examples.pairs import LABEL, pair_batches
from tfrec_fusion.examples.ranking_checks import (
    check_counts,
    check_events,
    check_hard,
    check_labels,
    check_rows_left,
    check_times,
)
from tfrec_fusion.examples.rates_as_of import RatesAsOf
from tfrec_fusion.examples.read_ahead import first_steps, read_ahead
from tfrec_fusion.examples.retrieved import Retrieved
from tfrec_fusion.features.history_events import history_events
from tfrec_fusion.features.item_trend import ItemTrend, item_numbers
from tfrec_fusion.features.label_rates import LABEL_RATES, LabelRates
from tfrec_fusion.features.side import Side
from tfrec_fusion.times import DAY

_MAX_CUTS = 150
_STACK_BYTES = 1 << 30


def ranking_examples(
    events: Interactions,
    batch_size: int = 1024,
    *,
    negatives: int | None = None,
    negatives_from: Any = None,
    hard_share: float = 0.5,
    hard_pool: int = 200,
    hard_cuts: int = 8,
    known: Interactions | None = None,
    at: float | None = None,
    horizon_days: float = 45.0,
    every_days: float = 7.0,
    history: int = 64,
    min_history: int = 0,
    context_side: Side | None = None,
    event_side: Side | None = None,
    label_rates: bool = False,
    window_days: float = 7.0,
    numbers: Sequence[str] | None = None,
    steps_per_epoch: int | None = None,
    seed: int = 0,
    shuffle: bool = True,
    first_epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns batches of B events for rankers, each row with N = 1 + `negatives` items.

    Every row has a cut c at or before its event, and all inputs of the model are computed from the
    events before c. In training, each epoch draws c anew, uniformly from the `horizon_days` before
    the event, on a grid of `every_days`: so the model learns from features that are as old as those
    at serving time.

    - `user` `[B]` int32; `item` `[B, N]` int32, the event's item first; `label` `[B, N]` float32:
      the event's label, 1 without labels, then 0 for the negatives; `weight` `[B]` if the events
      have it;
    - `label/<name>` `[B, N]` float32 for each further label of the events (`Interactions.labels`):
      the event's, then NaN for the negatives; NaN is missing. With negatives and labels also
      `is_sampled` `[B, N]` bool, True for the negatives;
    - `history` `[B, history]` int32: the user's last items before c, the most recent last; -1 pads
      the front and replaces the event's own item. `history_age` `[B, history]` float32: days from
      those items to c, 0 in the padding and without times;
    - `item_features` `[B, N, F]` float32 (see `ItemTrend`; without times only the catalogue's
      numeric columns; NaN for missing numbers) and `is_warm` `[B, N]` bool, both as of c;

    Without times, a row of training sees the other events alone: the history lacks the event's own
    item, or a random one if the item is not in it, as of impressions, so that its size does not
    tell the label; and the event's item is warm if another user has it;

    - with `label_rates`, `label_rates` `[B, N, 4]` float32: the numbers of `LabelRates` of the user
      and of the item, of the events before c; without times of four fifths of the events, drawn by
      pairs, without the row's own;

    - with a `context_side`, the event's own context, encoded, as in `pair_examples`.

    With `negatives=0`, `item`, labels, `item_features`, `is_warm` and `label_rates` have no axis N.
    `pair_examples` describes how negatives are sampled.

    Args:
      events: positives, or impressions with a label; events of unknown users are left out.
      batch_size: rows per batch.
      negatives: sampled negatives per event; by default 4, or none if the events have labels, which
        must then differ: of one label above 0 alone there is nothing to learn. Not checked with
        `known`, or with further labels.
      negatives_from: a fitted model that ranks the catalogue, or None. A share of the negatives is
        then drawn from its best items for the user, which a `TwoStage` has to order: as of an
        earlier time, without the user's own items of any time and items first seen after the event.
      hard_share: this share, from 0 to 1, of events whose users have a history by that time.
      hard_pool: the number of best items of a user to draw from.
      hard_cuts: the number of parts of equal size into which the events are divided by time; each
        but the first gets the best items as of its begin. Of one time alone, e.g. the end, they
        would tell the season of an event from its negatives. The model itself knows all events.
      known: the events that histories and item features are computed from; by default `events`. For
        test events: the training events. Impressions are ignored.
      at: unix time of one cut for all rows, for evaluation: every pass is then the same. Events
        before it raise InputError.
      horizon_days: largest distance between event and cut, up to the grid. It is shortened to the
        90 % quantile of the time spans of returning users, e.g. to the length of sessions.
      every_days: days between cuts, shortened in proportion to the horizon. Cuts are thinned out so
        that their features stay below 1 GiB.
      history: length of a history.
      min_history: leaves out rows with fewer items before their cut; batches get smaller.
      numbers: names of the catalogue's columns among the item features, in order: a model's
        `spec.numbers`; by default the catalogue's `numeric_columns`.
      context_side: the context features of a model, its `spec.context_side`.
      event_side: the features of events of a model, its `spec.event_side`; the batches then hold
        those of the histories' events, as in `pair_examples`.
      label_rates: whether to add the rates of labels, a model's `spec.label_rates`; they are of
        `known`, which must have labels.
      window_days, steps_per_epoch, seed, shuffle, first_epoch, shard: see `pair_examples`.

    Raises:
      InputError: as in `pair_examples`, a negative horizon, a cut after an event, `at` without
        times, `label_rates` without labels, all labels equal without negatives, or `min_history`
        leaves out all events.
    """
    check_events(events, known)
    check_times(events, horizon_days, every_days, at)
    check_steps("ranking_examples", steps_per_epoch)
    if negatives is None:
        negatives = 4 if events.label is None else 0
    check_counts(negatives=negatives, history=history, min_history=min_history)
    source = events if known is None else known
    retrieved = None
    if negatives_from is not None:
        check_hard(negatives, hard_share, hard_pool, hard_cuts)
        retrieved = Retrieved.of(negatives_from, source, hard_pool, hard_cuts)
    rates = LabelRates.of(source) if label_rates else None
    if known is None:
        check_labels(events, negatives)
    past = source.first_events()
    past = past.select(past.user >= 0)
    epochs = Epochs(seed, first_epoch)
    rows = pair_batches(
        events,
        batch_size,
        epochs,
        history=1,
        negatives=negatives,
        known=known,
        context=(),
        context_side=context_side,
        window_days=window_days,
        seed=seed,
        shuffle=shuffle,
        shard=shard,
        labels=True,
        retrieved=retrieved,
        hard_share=hard_share,
    )
    if events.timestamp is None:
        cuts = None
        trends, seen = _undated(past)
    else:
        trend = ItemTrend(past, ())
        if at is not None:
            cuts = np.array([at])
        else:
            horizon_days, every_days = _as_users_return(past, horizon_days, every_days)
            cuts = _grid(past, events, trend, every_days, horizon_days)
        trends, seen = _stack(trend, cuts, len(past.catalogue))
    of_others = events.timestamp is None and _any_in(events, past)
    warm_once = (past.item_counts() == 1) & of_others
    items = _Items(trends, seen, item_numbers(past.catalogue, numbers), warm_once)
    past_events = {} if event_side is None else history_events(event_side, past)
    horizon = horizon_days * DAY
    labelled = events.label is not None or bool(events.labels)
    of_labels = rates and RatesAsOf(rates, cuts, of_others)
    attach = _Attach(
        past,
        cuts,
        items,
        history,
        min_history,
        horizon,
        seed,
        past_events,
        of_others,
        labelled,
        of_labels,
    )
    seeds = epochs.seeds(stream=2, count=None).enumerate()
    batches = tf.data.Dataset.zip(rows, seeds).map(
        lambda batch, seed: attach(batch, negatives, tf.stack(seed)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    if min_history:
        check_rows_left(batches, min_history, history)
    # With `at`, for evaluation, every pass is the same, so epochs are not counted.
    batches = first_steps(batches, steps_per_epoch)
    return made_from(events, read_ahead(batches, epochs=epochs if at is None else None))


def feature_names(events: Interactions) -> tuple[str, ...]:
    """Returns the names of the columns of `item_features` in batches of `events`."""
    if events.timestamp is None:
        return tuple(events.catalogue.numeric_columns)
    return ItemTrend(events).names


def _undated(past: Interactions) -> tuple[np.ndarray, np.ndarray]:
    seen = past.item_counts() > 0
    return np.zeros((1, len(seen), 0), np.float16), seen[None]


def _any_in(events: Interactions, past: Interactions) -> bool:
    """Whether `past` has a pair of `events`, as it has in training."""
    own, known = (one.user * np.int64(len(past.catalogue)) + one.item for one in (events, past))
    return bool(np.isin(own, known).any())


def _as_users_return(
    past: Interactions, horizon_days: float, every_days: float
) -> tuple[float, float]:
    """Horizon and grid, shortened to the 90 % quantile of the users' time spans."""
    histories = past.histories()
    returned = histories.lengths >= 2
    first, last = histories.splits[:-1][returned], histories.splits[1:][returned] - 1
    times = histories.event_times
    spans = times[last] - times[first]
    if not (spans > 0).any():
        return horizon_days, every_days
    longest = float(np.quantile(spans[spans > 0], 0.9)) / DAY
    if longest >= horizon_days:
        return horizon_days, every_days
    return longest, every_days * longest / horizon_days


def _grid(
    past: Interactions, rows: Interactions, trend: ItemTrend, every_days: float, horizon_days: float
) -> np.ndarray:
    """Ascending cuts from the first event to the end of the events."""
    row_bytes = 2 * len(past.catalogue) * len(trend.names)
    most = min(_MAX_CUTS, max(_STACK_BYTES // row_bytes, 3)) - 2
    begin, end = past.event_times[[0, -1]]
    times = np.concatenate([past.event_times, rows.event_times[rows.user >= 0]])
    times = np.sort(np.clip(times, begin, end))
    cuts = cut_times(times, every_days * DAY, (horizon_days + every_days) * DAY, most)
    return np.concatenate([[begin], cuts[::-1], [trend.end]])


def _stack(trend: ItemTrend, cuts: np.ndarray, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    features = np.empty((len(cuts), n_items, len(trend.names)), np.float16)
    seen = np.empty((len(cuts), n_items), bool)
    for index, cut in enumerate(cuts):
        features[index], seen[index] = trend.at(cut)
    return features, seen


class _Items:
    """Item features: trends `[n_cuts, n_items, T]`, warm flags per cut, and numbers.

    `warm_once` tells the items that only one event makes warm, for whose own row they are cold.
    """

    def __init__(
        self, trends: np.ndarray, seen: np.ndarray, numbers: np.ndarray, warm_once: np.ndarray
    ):
        with tf.device("CPU:0"):
            self._trends, self._seen = tf.constant(trends), tf.constant(seen)
            self._numbers = tf.constant(numbers)
            self._warm_once = tf.constant(warm_once)

    def __call__(self, at: tf.Tensor, positive: tf.Tensor) -> dict[str, tf.Tensor]:
        """`item_features` and `is_warm` of pairs `[..., 2]` (cut, item), with their labels."""
        features = tf.gather(self._numbers, at[..., 1])
        if self._trends.shape[-1]:
            trends = tf.cast(tf.gather_nd(self._trends, at), tf.float32)
            features = tf.concat([trends, features], -1)
        warm = tf.gather_nd(self._seen, at) & ~(tf.gather(self._warm_once, at[..., 1]) & positive)
        return {"item_features": features, "is_warm": warm}


class _Attach:
    """Adds histories and item features, as of their cuts, to rows of `pair_batches`."""

    def __init__(
        self,
        past,
        cuts,
        of_items: _Items,
        length,
        least,
        horizon,
        seed,
        past_events,
        of_others,
        labelled,
        of_labels: RatesAsOf | None,
    ):
        histories = past.histories()
        items, times = histories.items, histories.times
        owners = np.repeat(np.arange(len(histories.lengths)), histories.lengths)
        if times is None:
            # Without times, the order in the file may reveal the event: shuffle each history.
            order = np.lexsort([np.random.default_rng(seed).random(len(items)), owners])
            items = items[order]
            past_events = {name: values[order] for name, values in past_events.items()}
        self._event_fields = EventFields(past_events)
        self._of_items, self._of_labels = of_items, of_labels
        self._length, self._least, self._horizon = length, least, horizon
        self._of_others = of_others
        with tf.device("CPU:0"):
            self._items = tf.constant(items)
            self._splits = tf.constant(histories.splits)
            if times is not None:
                moments = np.unique(times)
                self._times, self._cuts = tf.constant(times), tf.constant(cuts)
                # User and rank of the time in one ascending integer key, so that one exact search
                # finds the end of a history; the rank of each cut is precomputed.
                self._keys = tf.constant(owners * len(moments) + np.searchsorted(moments, times))
                self._cut_rank = tf.constant(np.searchsorted(moments, cuts))
                self._n_moments = len(moments)
        self._dated = times is not None
        self._labelled = labelled

    def __call__(self, batch, negatives: int, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        if negatives:
            width = 1 + negatives
            lists = [name for name in batch if name in ("item", "label") or name.startswith(LABEL)]
            batch = {
                name: tf.reshape(values, [-1, width]) if name in lists else values[::width]
                for name, values in batch.items()
            }
            if self._labelled:
                sampled = tf.range(width) > 0
                batch["is_sampled"] = tf.broadcast_to(sampled, tf.shape(batch["item"]))
        batch.pop("history_age", None)
        time = batch.pop("timestamp", None)
        user, item = batch["user"], batch["item"]
        own = item[:, 0] if negatives else item
        cut = self._draw_cut(time, seed) if self._dated else tf.zeros_like(user)
        batch |= self._history(user, own, cut, seed)
        if self._of_labels is not None:
            batch[LABEL_RATES] = self._of_labels(user, own, item, cut)
        at = (
            tf.stack([tf.broadcast_to(cut[:, None], tf.shape(item)), item], -1)
            if negatives
            else (tf.stack([cut, item], -1))
        )
        if self._least:
            size = tf.reduce_sum(tf.cast(batch["history"] >= 0, tf.int32), 1)
            kept = size >= self._least
            at = tf.boolean_mask(at, kept)
            batch = {name: tf.boolean_mask(values, kept) for name, values in batch.items()}
        positive = batch["label"] > 0 if "label" in batch else tf.ones(tf.shape(at)[:-1], tf.bool)
        return batch | self._of_items(at, positive)

    def _draw_cut(self, time, seed):
        lag = self._horizon * tf.random.stateless_uniform(tf.shape(time), seed, dtype=tf.float64)
        after = tf.searchsorted(self._cuts, time - lag, side="right")
        return tf.maximum(after - 1, 0)

    def _history(self, user, own, cut, seed):
        start = tf.gather(self._splits, user)[:, None]
        if self._dated:
            key = tf.cast(user, tf.int64) * self._n_moments + tf.gather(self._cut_rank, cut)
            end = tf.searchsorted(self._keys, key, out_type=tf.int64)[:, None]
        else:
            end = tf.gather(self._splits, user + 1)[:, None]
        length = self._length + int(self._of_others)
        place = end - length + tf.range(length, dtype=tf.int64)
        real = place >= start
        place = tf.maximum(place, 0)
        items = tf.gather(self._items, place)
        if self._of_others:
            kept = _without_one(items, real, own, seed)
            place, real, items = (tf.gather(v, kept, batch_dims=1) for v in (place, real, items))
        real &= items != own[:, None]
        history = tf.where(real, items, -1)
        found = {"history": history, **self._event_fields(place, real)}
        if not self._dated:
            return found | {"history_age": tf.zeros_like(history, tf.float32)}
        age = (tf.gather(self._cuts, cut)[:, None] - tf.gather(self._times, place)) / DAY
        return found | {"history_age": tf.where(real, tf.cast(age, tf.float32), 0.0)}


def _without_one(items, real, own, seed) -> tf.Tensor:
    """Positions `[B, L]` of histories `[B, L + 1]` without `own` or else a random item."""
    drawn = tf.random.stateless_uniform(tf.shape(items), seed)
    drawn = tf.where(real, tf.where(items == own[:, None], 2.0, drawn), -1.0)
    dropped = tf.argmax(drawn, 1, output_type=tf.int32)[:, None]
    kept = tf.range(tf.shape(items)[1] - 1)[None, :]
    return kept + tf.cast(kept >= dropped, tf.int32)
