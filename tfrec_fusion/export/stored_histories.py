"""Stores users' histories in an export, packed for lower precisions."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import History

_STEPS = 255
_INT32 = np.iinfo(np.int32).max


class StoredHistories(tf.Module):
    """The history items and ages of all users, looked up for a batch of users.

    With "float32" they are stored as given. Other precisions pack them: a user's item rows are
    sorted and stored as differences, one byte each, which loses only their order. A difference
    above 255 has filler entries before it: their byte is 0, their age how many times 255 to add.
    Ages are float16 or, with "int8", one byte on a `log1p` scale: if the oldest is two years, the
    error is at most 1.3 % of the age and a day.

    Args:
      histories: items `[H]` and, as times, ages `[H]` float32 in days; optionally rows of the
        events, which are stored in the smallest type of integers that holds them.
      precision: one of `PRECISIONS`.
      packs: whether item rows may be packed: the items of each user are distinct, and their order
        does not matter.
    """

    def __init__(self, histories: History, precision: str = "float32", packs: bool = True):
        super().__init__(name="histories")
        self._packed = precision != "float32" and packs
        splits, items, ages = histories.splits, histories.items, histories.times
        events = histories.events
        self.age_step = None
        if precision == "int8":
            step = np.log1p(max(ages.max(initial=0), 1e-6)) / _STEPS
            self.age_step = tf.Variable(step, False, dtype=tf.float32, name="age_step")
            ages = np.rint(np.log1p(np.maximum(ages, 0)) / step).astype(np.uint8)
        elif precision != "float32":
            ages = np.clip(ages, 0, np.finfo(np.float16).max).astype(np.float16)
        if self._packed:
            splits, items, ages, events = _packed(splits, items, ages, events)
        self.events = None
        if events is not None:
            events = events.astype(np.min_scalar_type(int(events.max(initial=0))))
            # ONNX and lookups on a GPU know no unsigned integers of 16 and 32 bits.
            events = events if events.dtype == np.uint8 else events.astype(np.int32)
            self.events = tf.Variable(events, trainable=False, name="history_events")
        self.splits = tf.Variable(splits, trainable=False, name="history_splits")
        self.items = tf.Variable(items, trainable=False, name="history_items")
        self.ages = tf.Variable(ages, trainable=False, name="history_ages")
        # One shared function, so that the graph holds it once.
        self._of = tf.function(
            self._read, input_signature=[tf.TensorSpec([None], tf.int32)], autograph=False
        )

    def of(self, users: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The histories of user rows `[B]`; row -1 has none.

        Returns:
          Pairs `[P, 2]` int32 (position in the batch, item), sorted by position, and ages `[P]`
          float32 in days; and, if they are stored, rows of the events `[P]` int32.
        """
        return self._of(users)

    def _read(self, users):
        known = tf.maximum(users, 0)
        begin = tf.cast(tf.gather(self.splits, known), tf.int64)
        lengths = tf.cast(tf.gather(self.splits, known + 1), tf.int64) - begin
        lengths = tf.where(users < 0, tf.zeros_like(lengths), lengths)
        positions = tf.repeat(tf.range(tf.shape(users)[0]), lengths)
        starts = tf.cumsum(lengths, exclusive=True)
        places = tf.range(tf.reduce_sum(lengths)) - tf.gather(starts, positions)
        index = tf.gather(begin, positions) + places
        items, ages = tf.gather(self.items, index), tf.gather(self.ages, index)
        events = () if self.events is None else (tf.cast(tf.gather(self.events, index), tf.int32),)
        if not self._packed:
            return tf.stack([positions, items], 1), self._days(ages), *events
        ends = items > 0
        jumps = tf.where(ends, tf.cast(items, tf.int64), _STEPS * tf.cast(ages, tf.int64))
        so_far = tf.cumsum(jumps)
        before = tf.gather(tf.concat([tf.zeros([1], tf.int64), so_far], 0), starts)
        items = tf.cast(so_far - tf.gather(before, positions), tf.int32) - 1
        ages = self._days(tf.boolean_mask(ages, ends))
        events = tuple(tf.boolean_mask(rows, ends) for rows in events)
        return tf.boolean_mask(tf.stack([positions, items], 1), ends), ages, *events

    def _days(self, ages):
        ages = tf.cast(ages, tf.float32)
        return ages if self.age_step is None else tf.math.expm1(ages * self.age_step)


def _packed(splits, items, ages, events):
    """Splits, differences as bytes (0 marks a filler), and ages and events in the same order.

    Args:
      ages: of a dtype that holds integers to 255.
    """
    users = np.repeat(np.arange(len(splits) - 1), np.diff(splits))
    order = np.lexsort([items, users])
    items, ages = items[order].astype(np.int64), ages[order]
    firsts = splits[:-1][np.diff(splits) > 0]
    gaps = np.diff(items, prepend=-1)
    gaps[firsts] = items[firsts] + 1
    jumps = (gaps - 1) // _STEPS
    fillers = -(-jumps // _STEPS)
    place = np.arange(len(gaps)) + np.cumsum(fillers)
    held = np.zeros(len(gaps) + fillers.sum(), np.uint8)
    held[place] = gaps - jumps * _STEPS
    spread = np.full(len(held), _STEPS).astype(ages.dtype)
    spread[place] = ages
    # The last filler of a difference holds the remainder.
    long = fillers > 0
    spread[place[long] - 1] = (jumps - (fillers - 1) * _STEPS)[long]
    splits = splits + np.concatenate([[0], np.cumsum(fillers)])[splits]
    splits = splits.astype(np.int32 if splits[-1] <= _INT32 else np.int64)
    if events is None:
        return splits, held, spread, None
    rows = np.zeros(len(held), np.int64)
    rows[place] = events[order]
    return splits, held, spread, rows
