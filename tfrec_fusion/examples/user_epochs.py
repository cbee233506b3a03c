"""Epochs over users whose items have no order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.history import History
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.examples.read_ahead import read_ahead


def user_epochs(
    name: str,
    events: Interactions,
    batch_size: int,
    seed: int,
    first_epoch: int,
    build: Callable[[np.ndarray, History, np.ndarray, np.random.Generator], dict],
    signature: dict,
) -> tf.data.Dataset:
    """A dataset that visits every user with two items or more once an epoch, in a new order.

    Args:
      name: of the examples, for errors.
      events: training events.
      batch_size: users a batch.
      seed: of the order and of what `build` draws.
      first_epoch: epochs already done: the dataset goes on with the order of that one.
      build: makes a batch of users `[B]` int32, their histories, the position in the batch of each
        history item `[H]`, and a generator of random numbers.
      signature: of what it makes.

    Raises:
      InputError: `batch_size` is not positive, or no user has two items.
    """
    if batch_size <= 0:
        raise InputError(f"{name}: batch_size must be positive. Received: {batch_size}")
    histories = events.histories()
    users = np.flatnonzero(histories.lengths >= 2).astype(np.int32)
    if len(users) == 0:
        raise InputError(f"{name}: no user has two items")
    epochs = Epochs(seed, first_epoch)

    def generate() -> Iterator[dict]:
        rng = epochs.generator()
        order = rng.permutation(users)
        for begin in range(0, len(order), batch_size):
            batch = order[begin : begin + batch_size]
            chosen = histories.take(batch)
            yield build(batch, chosen, np.repeat(np.arange(len(batch)), chosen.lengths), rng)

    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    return read_ahead(dataset, -(-len(users) // batch_size), epochs)
