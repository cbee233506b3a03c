"""Examples of user-item pairs, each with the user's earlier history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tfrec_fusion._compat import tf
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError, check_whole_number
from tfrec_fusion.examples.continuations import check_repeats
from tfrec_fusion.examples.epoch_batches import check_steps
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.examples.event_fields import EventFields
from tfrec_fusion.examples.made_from import made_from
from tfrec_fusion.examples.negatives import Negatives
from tfrec_fusion.examples.read_ahead import first_steps, read_ahead
from tfrec_fusion.examples.retrieved import Retrieved
from tfrec_fusion.examples.windows import BlockWindow
from tfrec_fusion.features.context import CONTEXT_FIELDS, encoded_context, in_histories
from tfrec_fusion.features.history_events import EVENT_FIELDS, encoded_events, history_events
from tfrec_fusion.features.side import Side
from tfrec_fusion.times import DAY

LABEL = "label/"
"""What precedes the name of a further label in batches."""
_RESERVED = ("history", "history_age", "_end", "_own", *CONTEXT_FIELDS, *EVENT_FIELDS)


def pair_examples(
    events: Interactions,
    batch_size: int = 4096,
    *,
    history: int = 50,
    negatives: int = 0,
    known: Interactions | None = None,
    context: Sequence[str] | None = None,
    context_side: Side | None = None,
    event_side: Side | None = None,
    window_days: float = 7.0,
    steps_per_epoch: int | None = None,
    seed: int = 0,
    shuffle: bool = True,
    shard: tuple[int, int] = (0, 1),
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Returns batches of events, each with the user's earlier history, for pointwise losses.

    With `negatives`, each event is followed by its sampled negatives. B is
    `batch_size (1 + negatives)`, less in the last batch. A whole pass over the dataset is an epoch;
    each epoch has another order.

    - `user`, `item` `[B]` int32; `timestamp` `[B]` float64 if the events have times;
    - `history` `[B, history]` int32: the user's last distinct items strictly before the event, at
      their first events, the most recent last, padded with -1 at the front. Without times: other
      items of the user, chosen once by `seed`. The event's own item is never in it;
    - `history_age` `[B, history]` float32, only with times: days from those items to the event, 0
      in the padding;
    - `label` `[B]` float32, only with `negatives` or labelled events: the event's label, 1 without
      labels; 0 for negatives;
    - `rating` (only without negatives) and `weight` `[B]` float32, if the events have them;
    - the context columns of the event, float32, or strings if named; repeated for its negatives;
    - with a `context_side`, the event's own context, encoded: `context_categories` `[B, width]`
      int32 and `context_numbers` `[B, n_numbers]` float32;
    - with an `event_side`, the encoded features of the history's events: `event_categories`
      `[B, history, width]` int32 and `event_numbers` `[B, history, n_numbers]` float32, -1 and 0 in
      the padding.

    Half of the negatives, in expectation, are items of random events within `window_days / 2` of
    the event (of any event, without times); the others are uniform over the items seen by then.
    Items that the user has in `events` or `known`, at any time, are never negatives. Histories and
    negatives come only from the first positive events (`Interactions.first_events`).

    Args:
      events: positives, or impressions with a label; events of unknown users are left out.
      batch_size: events per batch.
      history: length of a history, at least 1.
      negatives: sampled negatives per event.
      known: more events, with the same vocabularies, for histories and negatives; they are not rows
        themselves. For test pairs: the training events.
      context: names of context columns; by default the numeric ones.
      context_side: the context features of a model, its `spec.context_side`.
      event_side: the features of events of a model, its `spec.event_side`.
      window_days: width of the time window for negatives.
      steps_per_epoch: most batches of an epoch, drawn anew in each with `shuffle`; None for all.
      seed: of order and samples. Equal seeds give equal epochs.
      shuffle: False keeps the order of the events.
      shard: (index, count) of the worker; see `BlockWindow.batches`.
      first_epoch: number of epochs already done; the dataset continues with the next one.

    Raises:
      InputError: a bad size, a context column that is absent or not usable, no event of a known
        user, other vocabularies in `known`, or a user who has every item and thus no negative.
    """
    check_steps("pair_examples", steps_per_epoch)
    epochs = Epochs(seed, first_epoch)
    batches = pair_batches(
        events,
        batch_size,
        epochs,
        history=history,
        negatives=negatives,
        known=known,
        context=context,
        context_side=context_side,
        event_side=event_side,
        window_days=window_days,
        seed=seed,
        shuffle=shuffle,
        shard=shard,
    )
    batches = first_steps(batches, steps_per_epoch)
    return made_from(events, read_ahead(batches, epochs=epochs))


def pair_batches(
    events: Interactions,
    batch_size: int,
    epochs: Epochs,
    *,
    history: int,
    negatives: int,
    known: Interactions | None,
    context: Sequence[str] | None,
    window_days: float,
    seed: int,
    shuffle: bool,
    shard: tuple[int, int] = (0, 1),
    context_side: Side | None = None,
    event_side: Side | None = None,
    labels: bool = False,
    retrieved: Retrieved | None = None,
    hard_share: float = 0.5,
) -> tf.data.Dataset:
    """As `pair_examples`, for a longer pipeline that counts the epochs itself.

    With `labels`, batches also hold each further label of the events as `label/<name>` `[B]`
    float32, NaN where missing and for negatives. `retrieved` and `hard_share` are those of
    `Negatives`.
    """
    for name, value, least in (("history", history, 1), ("negatives", negatives, 0)):
        check_whole_number(f"pair_examples: {name}", value, least)
    if window_days <= 0:
        raise InputError(f"pair_examples: window_days must be positive. Received: {window_days}")
    for one in (events, *([] if known is None else [known])):
        check_repeats("pair_examples", one)
    past, past_events = _together(events, known, event_side)
    rows = events.select(events.user >= 0)
    if len(rows) == 0:
        raise InputError(f"pair_examples: none of the {len(events)} events has a known user")
    if len(past) == 0:
        raise InputError(
            f"pair_examples: all {len(events)} events are impressions, with a label of 0 or less; "
            "add events with a label above 0"
        )
    columns = {"user": rows.user, "item": rows.item}
    if rows.timestamp is not None:
        columns["timestamp"] = rows.timestamp
    columns |= _context(rows.context, context)
    if context_side is not None:
        columns |= encoded_context(context_side, rows)
    if rows.weight is not None:
        columns["weight"] = rows.weight
    if rows.rating is not None and not negatives:
        columns["rating"] = rows.rating
    if rows.label is not None or negatives:
        label = rows.label
        columns["label"] = np.ones(len(rows), np.float32) if label is None else label
    if labels:
        columns |= {LABEL + name: values for name, values in rows.labels.items()}
    attach_history, places = _histories(rows, past, history, seed, past_events)
    sampler = Negatives(past, window_days, retrieved, hard_share) if negatives else None

    batches = BlockWindow(columns | places).batches(
        batch_size, shuffle=shuffle, shard=shard, epochs=epochs
    )
    batches = batches.map(attach_history, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if sampler is not None:
        seeds = epochs.seeds(stream=1, count=None).enumerate()
        batches = tf.data.Dataset.zip(batches, seeds).map(
            lambda batch, seed: _with_negatives(batch, sampler, negatives, tf.stack(seed)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    return batches


def _together(
    events: Interactions, known: Interactions | None, side: Side | None
) -> tuple[Interactions, dict[str, np.ndarray]]:
    """The first events of both, and the encoded features of the events of their histories."""
    if known is None:
        past = events.positives()
        past = past.select(past.user >= 0).first_events()
        return past, {} if side is None else history_events(side, past)
    if events.users != known.users or events.catalogue.vocabulary != known.catalogue.vocabulary:
        raise InputError(
            "pair_examples: events and known must share their user and item vocabularies"
        )
    if (events.timestamp is None) != (known.timestamp is None):
        raise InputError(
            "pair_examples: either both of events and known must have timestamps, or none"
        )
    events, known = events.positives(), known.positives()
    columns = {
        "user": np.concatenate([known.user, events.user]),
        "item": np.concatenate([known.item, events.item]),
    }
    if events.timestamp is not None:
        columns["timestamp"] = np.concatenate([known.event_times, events.event_times])
    elif events.position is not None and known.position is not None:
        columns["position"] = np.concatenate([known.position, events.position])
    # The place in both tables together is a column of its own until the order is known.
    columns["place"] = np.arange(len(columns["user"]))
    past = Interactions(events.catalogue, events.users, pd.DataFrame(columns), events.user_table)
    past = past.select(past.user >= 0).first_events()
    if side is None:
        return past, {}
    place = in_histories(past).context["place"].to_numpy()
    parts = [encoded_events(side, one) for one in (known, events)]
    return past, {
        name: np.concatenate(values)[place]
        for name, *values in zip(EVENT_FIELDS, *parts, strict=True)
    }


def _context(frame: pd.DataFrame, names: Sequence[str] | None) -> dict[str, np.ndarray]:
    if names is None:
        names = [name for name in frame if pd.api.types.is_numeric_dtype(frame[name])]
    columns = {}
    for name in names:
        if name not in frame:
            raise InputError(
                f"pair_examples: no context column {name!r}. Columns: {list(frame.columns)}"
            )
        if name in _RESERVED:
            raise InputError(
                f"pair_examples: a context column may not have the name {name!r}, which is "
                "reserved for the batch; rename it or leave it out of context"
            )
        if pd.api.types.is_numeric_dtype(frame[name]):
            columns[name] = frame[name].to_numpy(np.float32, na_value=np.nan)
        elif pd.api.types.infer_dtype(frame[name], skipna=True) in ("string", "empty"):
            columns[name] = frame[name].fillna("").to_numpy(object)
        else:
            raise InputError(
                f"pair_examples: context column {name!r} must hold numbers or strings. "
                f"Received: {frame[name].dtype}"
            )
    return columns


def _histories(
    rows: Interactions,
    past: Interactions,
    length: int,
    seed: int,
    past_events: Mapping[str, np.ndarray],
):
    """Returns a function that attaches histories to batches, and the columns that it needs.

    `_end` is the position, among the events of all users, where the event's history ends; `_own`
    the position of the event's own item, past the end if the user never takes it.
    """
    histories = past.histories()
    items, times, lengths = histories.items, histories.times, histories.lengths
    owners = np.repeat(np.arange(len(lengths)), lengths)
    steps = None if past.position is None else histories.steps.astype(np.float32)
    if times is None:
        order = np.lexsort([np.random.default_rng(seed).random(len(items)), owners])
        items = items[order]
        steps = None if steps is None else steps[order]
        past_events = {name: values[order] for name, values in past_events.items()}
        end = histories.splits[rows.user + 1]
    else:
        moments = np.unique(np.concatenate([times, rows.event_times]))
        keys = owners * len(moments) + np.searchsorted(moments, times)
        moment = np.searchsorted(moments, rows.event_times)
        end = np.searchsorted(keys, rows.user * np.int64(len(moments)) + moment)
    n_items = len(rows.catalogue)
    keys = owners * n_items + items
    order = np.argsort(keys)
    wanted = rows.user * np.int64(n_items) + rows.item
    own = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
    own = np.where(keys[own] == wanted, own, len(keys))
    with tf.device("CPU:0"):
        items, starts = tf.constant(items), tf.constant(histories.splits[:-1])
        times = None if times is None else tf.constant(times)
        steps = None if steps is None else tf.constant(steps)
    fields = EventFields(past_events)

    def attach(batch):
        end, own = batch.pop("_end")[:, None], batch.pop("_own")[:, None]
        place = end - length + tf.range(length, dtype=end.dtype)
        place -= tf.cast((own < end) & (place <= own), end.dtype)
        real = place >= tf.gather(starts, batch["user"])[:, None]
        place = tf.maximum(place, 0)
        batch["history"] = tf.where(real, tf.gather(items, place), -1)
        batch |= fields(place, real)
        if times is not None:
            age = (batch["timestamp"][:, None] - tf.gather(times, place)) / DAY
            batch["history_age"] = tf.where(real, tf.cast(age, tf.float32), 0.0)
        elif steps is not None:
            batch["history_age"] = tf.where(real, tf.gather(steps, place), 0.0)
        return batch

    return attach, {"_end": end.astype(np.int64), "_own": own.astype(np.int64)}


def _with_negatives(batch, sampler: Negatives, count: int, seed: tf.Tensor):
    """Inserts `count` rows of sampled negatives, with label 0, after each row.

    Further labels of negatives are missing.
    """
    drawn = sampler(batch["user"], batch.get("timestamp"), count, seed)
    item = tf.concat([batch["item"][:, None], drawn], axis=1)
    found = {name: tf.repeat(values, count + 1, axis=0) for name, values in batch.items()}
    for name in batch:
        if name == "label" or name.startswith(LABEL):
            of_negatives = 0.0 if name == "label" else float("nan")
            beside = [[0, 0], [0, count]]
            values = tf.pad(batch[name][:, None], beside, constant_values=of_negatives)
            found[name] = tf.reshape(values, [-1])
    return found | {"item": tf.reshape(item, [-1])}
