"""Batches that are pure functions of seed, epoch and place."""

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
    """A dataset of which batch i of an epoch depends on the seed, the epoch and i alone.

    Args:
      n_batches: of an epoch.
      plan: draws what an epoch has, e.g. the order of its users, from the epoch's random numbers.
      build: makes batch i of a plan from random numbers of its own: field -> array.
      signature: field -> spec of `build`'s batches.
      epochs: those of the dataset.
      shard: (index, count): of the batches of every epoch, one in `count` from `index` on. All
        shards have equally many, so an epoch leaves out up to `count - 1` batches, others each
        time.
      counted: whether a pass ends an epoch; each is the first one else.

    Raises:
      InputError: a shard that is not among `count`, or more shards than batches.
    """
    index, count = check_shard(shard)
    if count > n_batches:
        raise InputError(
            f"batches: an epoch has {n_batches} batches, too few for {count} shards; take a "
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
    """As `epoch_batches`, the elements at some places, for a pipeline that goes on."""
    fields = list(signature.items())
    # Elements come one after another, so an epoch's plan is made once.
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


def check_shard(shard: tuple[int, int]) -> tuple[int, int]:
    """(index, count) as given.

    Raises:
      InputError: no two numbers, or an index that is not from 0 to below the count.
    """
    whole = isinstance(shard, tuple | list) and len(shard) == 2
    whole = whole and all(isinstance(part, int | np.integer) for part in shard)
    if not whole or not 0 <= shard[0] < shard[1]:
        raise InputError(
            f"batches: shard must be (index, count) with 0 <= index < count. Received: {shard}"
        )
    return int(shard[0]), int(shard[1])
