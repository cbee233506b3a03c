"""Tracks which epoch a dataset is in."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import check_whole_number


class Epochs:
    """The epochs of one dataset; each depends only on the seed and its number.

    A new iterator yields the current epoch. The dataset advances to the next epoch when an iterator
    has yielded its last batch, so `fit` sees one epoch after the other, and reading only a few
    batches has no effect.

    Args:
      seed: of the sequence of epochs.
      first_epoch: number of the first epoch.

    Attributes:
      number: number of the current epoch, which the next iterator yields.

    Raises:
      InputError: the seed or the first epoch is no whole number of 0 or more.
    """

    def __init__(self, seed: int, first_epoch: int = 0):
        for name, value in (("seed", seed), ("first_epoch", first_epoch)):
            check_whole_number(f"batches: {name}", value, 0)
        self._seed, self.number = seed, first_epoch

    def generator(self, *place: int) -> np.random.Generator:
        """Returns the generator of an epoch, or of an element in it: `generator(epoch, index)`."""
        return np.random.default_rng([self._seed, *place])

    def numbers(self) -> tf.data.Dataset:
        """Returns a dataset of one element: the number of the current epoch, int64."""

        def number(_):
            return tf.ensure_shape(tf.numpy_function(lambda: self.number, [], tf.int64), [])

        return tf.data.Dataset.from_tensors(0).map(number)

    def seeds(self, stream: int = 0, count: int | None = 1) -> tf.data.Dataset:
        """Returns a dataset of the current epoch's seed, int64, `count` times (None: endless).

        Each `stream` of random numbers has a different seed.
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
        """Returns the batches, of known number, and advances the epoch with the last one."""

        def end() -> np.int64:
            self.number += 1
            return np.int64(self.number)

        def advance(_):
            return tf.ensure_shape(tf.numpy_function(end, [], tf.int64), [])

        # A function for each batch would cost some 100 us; the last map only drops a component.
        places = tf.data.Dataset.range(int(batches.cardinality()) - 1)
        places = places.concatenate(tf.data.Dataset.from_tensors(0).map(advance))
        return tf.data.Dataset.zip((batches, places)).map(lambda batch, _: batch)
