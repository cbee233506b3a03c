"""Epochs over users, for examples without times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.history import History
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError, check_whole_number
from tfrec_fusion.examples.continuations import check_repeats
from tfrec_fusion.examples.epoch_batches import check_shard, check_steps, epoch_batches
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.examples.made_from import made_from


def user_epochs(
    name: str,
    events: Interactions,
    batch_size: int,
    seed: int,
    first_epoch: int,
    build: Callable[[np.ndarray, History, np.ndarray, np.ndarray, np.random.Generator], dict],
    signature: dict,
    shard: tuple[int, int] = (0, 1),
    steps_per_epoch: int | None = None,
) -> tf.data.Dataset:
    """Returns a dataset that visits every user with two items or more once an epoch, shuffled.

    Users whose events all have a weight of 0 are left out, as they have no target.

    Args:
      name: of the examples, for errors.
      events: training events.
      batch_size: users per batch.
      seed: of the order and the random numbers of `build`.
      first_epoch: number of epochs already done; the dataset continues with the next one.
      build: builds a batch from user rows `[B]` int32, their histories (with the events' places
        among those of all users), the position in the batch of each history item `[H]`, a random
        number in [0, 1) for each `[H]`, and a generator.
      signature: field -> spec of the batches.
      shard: see `epoch_batches`.
      steps_per_epoch: most batches of an epoch, drawn anew in each; None for all.

    Raises:
      InputError: `batch_size` is not positive, or no user has two items.
    """
    check_whole_number(f"{name}: batch_size", batch_size)
    check_steps(name, steps_per_epoch)
    check_repeats(name, events)
    histories = events.histories()
    histories = replace(histories, events=np.arange(len(histories.items)))
    owners = np.repeat(np.arange(len(histories.lengths)), histories.lengths)
    targets = np.bincount(owners[is_target(events)], minlength=len(histories.lengths))
    users = np.flatnonzero((histories.lengths >= 2) & (targets > 0)).astype(np.int32)
    if len(users) == 0:
        raise InputError(f"{name}: no user has two items, one with a weight above 0; add events")
    epochs = Epochs(seed, first_epoch)

    def plan(rng: np.random.Generator) -> _Epoch:
        order = rng.permutation(users)
        lengths = histories.lengths[order]
        starts = np.concatenate([[0], np.cumsum(lengths)])[:-1][::batch_size]
        return _Epoch(order, starts, dict(rng.bit_generator.state))

    def batch(epoch: _Epoch, place: int, rng: np.random.Generator) -> dict:
        chosen = epoch.users[place * batch_size : (place + 1) * batch_size]
        past = histories.take(chosen)
        rows = np.repeat(np.arange(len(chosen)), past.lengths)
        # One random number per item of the epoch; a batch skips those of the earlier batches.
        bits: Any = np.random.PCG64()
        bits.state = epoch.state
        draw = np.random.Generator(bits.advance(int(epoch.starts[place]))).random(len(rows))
        return build(chosen, past, rows, draw, rng)

    n_batches = -(-len(users) // batch_size)
    if steps_per_epoch is not None:
        # The order of the users is random, so the first batches are a random part of them.
        n_batches = min(n_batches, steps_per_epoch * check_shard(shard)[1])
    return made_from(events, epoch_batches(n_batches, plan, batch, signature, epochs, shard))


def step_ages(events: Interactions, histories: History):
    """Returns a function from indices of history items to ages in steps; None without positions.

    These are the ages of `State.flat_histories`.
    """
    if events.position is None:
        return None
    steps = histories.steps
    return lambda index: steps[index]


def is_target(events: Interactions) -> np.ndarray:
    """Returns for each event of `Interactions.histories`, bool, whether its weight is above 0."""
    weights = events.history_weights()
    return np.ones(len(events.histories().items), bool) if weights is None else weights > 0


class _Epoch(NamedTuple):
    """Users in order `[n]`, position of each batch's first item, and the generator's state."""

    users: np.ndarray
    starts: np.ndarray
    state: dict
