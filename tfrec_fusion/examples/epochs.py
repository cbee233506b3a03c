"""Which epoch a dataset is at."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError


class Epochs:
    """The epochs of one dataset, each a pure function of the seed and its number.

    An iterator goes through the epoch that the dataset is at, and the dataset moves on to the next
    when an iterator has handed out its last batch: `fit` goes from epoch to epoch, and looking at a
    few batches changes nothing.

    Args:
      seed: of the sequence of epochs.
      first_epoch: number of the one to begin with.

    Attributes:
      number: of the epoch that the next iterator goes through.

    Raises:
      InputError: a negative seed or first epoch.
    """

    def __init__(self, seed: int, first_epoch: int = 0):
        for name, value in (("seed", seed), ("first_epoch", first_epoch)):
            if value < 0:
                raise InputError(f"batches: {name} must be 0 or more. Received: {value}")
        self._seed, self.number = seed, first_epoch

    def generator(self, *place: int) -> np.random.Generator:
        """Random numbers of an epoch, or of a place in it: `generator(epoch, index)`."""
        return np.random.default_rng([self._seed, *place])

    def numbers(self) -> tf.data.Dataset:
        """The number of the epoch that the next iterator goes through, int64."""

        def number(_):
            return tf.ensure_shape(tf.numpy_function(lambda: self.number, [], tf.int64), [])

        return tf.data.Dataset.from_tensors(0).map(number)

    def seeds(self, stream: int = 0, count: int | None = 1) -> tf.data.Dataset:
        """The epoch's seed, int64, `count` times (None for without end).

        Each `stream` of random numbers has another one.
        """

        def seed():
            parts = np.random.SeedSequence([self._seed, self.number, stream])
            return parts.generate_state(1, np.uint64).view(np.int64)[0]

        def of_epoch(_):
            value = tf.ensure_shape(tf.numpy_function(seed, [], tf.int64), [])
            return tf.data.Dataset.from_tensors(value).repeat(count)

        known = tf.data.INFINITE_CARDINALITY if count is None else count
        seeds = tf.data.Dataset.from_tensors(0).flat_map(of_epoch)
        return seeds.apply(tf.data.experimental.assert_cardinality(known))

    def counted(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """The batches of an epoch, of known number; the last one ends the epoch."""
        last = int(batches.cardinality()) - 1

        def end() -> np.int64:
            self.number += 1
            return np.int64(self.number)

        def count(index, batch):
            ended = tf.cond(
                index == last,
                lambda: tf.ensure_shape(tf.numpy_function(end, [], tf.int64), []),
                lambda: tf.constant(0, tf.int64),
            )
            with tf.control_dependencies([ended]):
                return tf.nest.map_structure(tf.identity, batch)

        return batches.enumerate().map(count)
