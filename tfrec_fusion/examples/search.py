"""Examples of searches, each with the user's earlier history."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.data.search_events import SearchEvents
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.examples.made_from import made_from
from tfrec_fusion.examples.read_ahead import read_ahead
from tfrec_fusion.examples.windows import BlockWindow
from tfrec_fusion.times import DAY

PREFIX = "search_"
"""Of the fields of searches in batches of `joint_examples`."""


def search_examples(
    searches: SearchEvents,
    events: Interactions,
    batch_size: int = 1024,
    *,
    history: int = 50,
    seed: int = 0,
    shuffle: bool = True,
    first_epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns batches of searches, for `SearchModel`; a whole pass over the dataset is an epoch.

    - `query_vector` `[B, dims]` float32;
    - `item`, `user` `[B]` int32, the user -1 for none;
    - `history` `[B, history]` int32: the user's last items strictly before the search, the latest
      last, padded with -1; without times all items. The item that is searched for is never in it;
    - `history_age` `[B, history]` float32, with times alone: days from those items to the search;
    - `log_q` `[B]` float32: the log of the item's share of the searches.

    Args:
      searches: with vectors of their queries.
      events: what the histories hold; its users must be those of the searches.
      batch_size: searches per batch.
      history: length of a history, at least 1.
      seed: of the order. Equal seeds give equal epochs.
      shuffle: False keeps the order of the searches.
      first_epoch: number of epochs already done; the dataset continues with the next one.
      shard: (index, count) of the worker; see `BlockWindow.batches`.

    Raises:
      InputError: searches without vectors, of another catalogue or of other users, only one of the
        two tables has times, or a size below 1.

    Example:
      >>> queries = {"query": ["red thing"], "item_id": ["i3"], "timestamp": [1.71e9]}
      >>> frame = pd.DataFrame(queries)
      >>> searches = tff.data.SearchEvents.from_frame(frame, shop).with_vectors(np.ones([1, 4]))
      >>> batch = next(iter(search_examples(searches, events, 8)))
      >>> batch["query_vector"].shape.as_list(), batch["item"].numpy().tolist()
      ([1, 4], [3])
    """
    _check(searches, events, history)
    counts = np.bincount(searches.item, minlength=len(searches.catalogue))
    log_q = np.log(counts[searches.item] / len(searches)).astype(np.float32)
    columns = {
        "place": np.arange(len(searches), dtype=np.int32),
        "item": searches.item,
        "user": searches.user,
        "log_q": log_q,
    }
    histories = events.histories()
    timed = histories.times is not None
    if timed:
        columns["timestamp"] = np.asarray(searches.timestamp, np.float64)
    columns["_end"] = _ends(searches, histories)
    with tf.device("CPU:0"):
        vectors = tf.constant(searches.vectors, tf.float32)
        items = tf.constant(np.append(histories.items, -1), tf.int32)
        starts = tf.constant(histories.splits[:-1], tf.int64)
        times = tf.constant(np.append(histories.event_times, 0.0)) if timed else None

    def attach(batch):
        end = batch.pop("_end")[:, None]
        place = end - history + tf.range(history, dtype=tf.int64)
        known = batch["user"] >= 0
        begin = tf.gather(starts, tf.maximum(batch["user"], 0)) if len(starts) else end[:, 0]
        real = (place >= begin[:, None]) & known[:, None]
        place = tf.maximum(place, 0)
        found = tf.where(real, tf.gather(items, place), -1)
        batch["history"] = tf.where(found == batch["item"][:, None], -1, found)
        batch["query_vector"] = tf.gather(vectors, batch.pop("place"))
        if times is not None:
            age = (batch.pop("timestamp")[:, None] - tf.gather(times, place)) / DAY
            batch["history_age"] = tf.where(batch["history"] >= 0, tf.cast(age, tf.float32), 0.0)
        return batch

    epochs = Epochs(seed, first_epoch)
    batches = BlockWindow(columns).batches(batch_size, shuffle=shuffle, shard=shard, epochs=epochs)
    batches = batches.map(attach, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return made_from(events, read_ahead(batches, epochs=epochs))


def _check(searches: SearchEvents, events: Interactions, history: int) -> None:
    if searches.vectors is None:
        raise InputError(
            "search_examples: the searches have no vectors; encode their queries, and pass "
            f"searches.with_vectors(vectors). Received: {len(searches)} searches"
        )
    if history < 1:
        raise InputError(f"search_examples: history must be at least 1. Received: {history}")
    if searches.catalogue.vocabulary != events.catalogue.vocabulary:
        raise InputError("search_examples: searches and events must have the same items")
    if searches.users is not None and searches.users != events.users:
        raise InputError(
            "search_examples: searches and events must have the same users; pass "
            "SearchEvents.from_frame(..., users=events.users). "
            f"Received: {len(searches.users)} and {len(events.users)} users"
        )
    if (events.timestamp is not None) and searches.timestamp is None:
        raise InputError(
            "search_examples: the events have times and the searches have none, so that nobody "
            "knows which of them came before; give the searches a column 'timestamp'"
        )


def _ends(searches: SearchEvents, histories) -> np.ndarray:
    """`[n]` int64: where the history of each search ends among the events of all users."""
    user = np.maximum(searches.user, 0)
    if not len(histories.items):
        return np.zeros(len(searches), np.int64)
    if histories.times is None:
        return histories.splits[user + 1].astype(np.int64)
    asked = np.asarray(searches.timestamp, np.float64)
    moments = np.unique(np.concatenate([histories.times, asked]))
    owners = np.repeat(np.arange(len(histories.lengths)), histories.lengths)
    keys = owners * len(moments) + np.searchsorted(moments, histories.times)
    wanted = user * np.int64(len(moments)) + np.searchsorted(moments, asked)
    return np.searchsorted(keys, wanted).astype(np.int64)
