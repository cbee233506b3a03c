"""Datasets whose batches depend only on seed, epoch and position."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.examples.read_ahead import read_ahead


def epoch_batches(
    n_batches: int,
    plan: Callable[[np.random.Generator], Any],
    build: Callable[[Any, int, np.random.Generator], Mapping[str, np.ndarray]],
    signature: Mapping[str, tf.TensorSpec],
    epochs: Epochs,
    shard: tuple[int, int] = (0, 1),
    counted: bool = True,
) -> tf.data.Dataset:
    """Returns a dataset whose batch i of an epoch depends only on the seed, the epoch and i.

    Args:
      n_batches: number of batches of an epoch.
      plan: function of the epoch's generator that draws the plan of an epoch, e.g. the order of its
        users.
      build: function (plan, i, generator of the batch) -> batch i: field -> array.
      signature: field -> spec of the batches.
      epochs: the epochs of the dataset.
      shard: (index, count): takes every `count`-th batch of an epoch, starting at `index`. All
        shards have the same number, so an epoch leaves out up to `count - 1` batches, other ones
        each time.
      counted: whether each pass is the next epoch; if False, each pass is the first epoch.

    Raises:
      InputError: an index outside the count of shards, or more shards than batches.
    """
    index, count = check_shard(shard)
    if count > n_batches:
        raise InputError(
            f"batches: an epoch has {n_batches} batches, too few for {count} shards; choose a "
            f"smaller batch_size. Received: shard={shard}"
        )
    own = n_batches // count
    places = range(index, index + own * count, count)
    dataset = epoch_elements(places, plan, build, signature, epochs)
    return read_ahead(dataset, own, epochs if counted else None)


def epoch_elements(
    places: range,
    plan: Callable[[np.random.Generator], Any],
    build: Callable[[Any, int, np.random.Generator], Mapping[str, np.ndarray]],
    signature: Mapping[str, tf.TensorSpec],
    epochs: Epochs,
) -> tf.data.Dataset:
    """As `epoch_batches`, but only the elements at `places`, for a longer pipeline."""
    fields = list(signature.items())
    # Elements come in order of epochs, so a cache of one builds each epoch's plan once.
    plan_of = functools.lru_cache(maxsize=1)(lambda epoch: plan(epochs.generator(epoch)))

    def make(epoch, place):
        epoch, place = int(epoch), int(place)
        values = build(plan_of(epoch), place, epochs.generator(epoch, place))
        return [np.asarray(values[name], spec.dtype.as_numpy_dtype) for name, spec in fields]

    def element(epoch, place):
        dtypes = [spec.dtype for _, spec in fields]
        values = tf.numpy_function(make, [epoch, place], dtypes, stateful=False)
        return {
            name: tf.ensure_shape(value, spec.shape)
            for (name, spec), value in zip(fields, values, strict=True)
        }

    numbers = tf.data.Dataset.range(places.start, places.stop, places.step)
    return epochs.numbers().flat_map(lambda epoch: numbers.map(lambda place: element(epoch, place)))


def check_steps(name: str, steps_per_epoch: int | None) -> None:
    """Raises InputError if the number of batches of an epoch is not positive."""
    check_count(name, "steps_per_epoch", steps_per_epoch)


def check_count(name: str, option: str, value: int | None) -> None:
    """Raises InputError if an option is no whole number from 1 up, nor None."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if value is not None and not (whole and value > 0):
        raise InputError(
            f"{name}: {option} must be a positive whole number, or None for all. "
            f"Received: {value!r}"
        )


def check_shard(shard: tuple[int, int]) -> tuple[int, int]:
    """Checks a shard and returns (index, count).

    Raises:
      InputError: it is no pair of whole numbers, or the index is not in [0, count).
    """
    whole = isinstance(shard, tuple | list) and len(shard) == 2
    whole = whole and all(isinstance(part, int | np.integer) for part in shard)
    if not whole or not 0 <= shard[0] < shard[1]:
        raise InputError(
            f"batches: shard must be (index, count) with 0 <= index < count. Received: {shard}"
        )
    return int(shard[0]), int(shard[1])
