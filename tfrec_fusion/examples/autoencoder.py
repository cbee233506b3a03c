"""Autoencoder examples: a user's whole set of items, from itself."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.batch import ExampleBatch
from tfrec_fusion.examples.continuations import check_whole, continuations
from tfrec_fusion.examples.user_epochs import user_epochs


def autoencoder_examples(
    events: Interactions,
    batch_size: int = 256,
    *,
    dropout: float = 0.2,
    known: Interactions | None = None,
    seed: int = 0,
    first_epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Batches of users whose items are all targets, and all but a few also the history.

    For interactions whose order says nothing. So that no item predicts itself, a model subtracts
    from each history item's score that item's own part: the batch names these pairs `self_pairs`
    instead of `masked`. An epoch visits every user with at least two items once and drops each item
    from the history with probability `dropout` (denoising), drawn anew each epoch. An item is warm
    when it occurs in `events`; there are no item features (F = 0).

    Args:
      events: training events.
      batch_size: users a batch.
      dropout: probability of an item to be missing in the history, in [0, 1); each user keeps at
        least one.
      known: for validation, with the held-out events as `events`: what was known before is the
        history, and a user's new items are what is missing in it. See `continuations`.
      seed: of the order and the dropout.
      first_epoch: epochs already done: the dataset goes on with the order of that one.
      shard: (index, count) of workers that share an epoch's batches; see `epoch_batches`.

    Returns:
      A dataset of known cardinality whose elements are dicts; see `ExampleBatch`.

    Raises:
      InputError: bad sizes, no user with two items, or what `continuations` refuses.

    Example:
      >>> batches = split.train.batches(256, examples="autoencoder")
    """
    if not 0 <= dropout < 1:
        raise InputError(
            f"autoencoder_examples: dropout must be from 0 to below 1. Received: {dropout}"
        )
    if known is not None:
        check_whole("autoencoder_examples", shard)
        batches = continuations("autoencoder_examples", events, known, batch_size, denoising=True)
        return batches.map(_own)
    seen = events.item_counts() > 0
    features = np.zeros((len(seen), 0), np.float32)

    def build(users, chosen, rows, draw, rng):
        kept = (draw >= dropout) | (draw == np.maximum.reduceat(draw, chosen.splits[:-1])[rows])
        index = np.arange(len(rows))
        example = ExampleBatch.build(
            users=users,
            history=(rows[kept], index[kept]),
            targets=(rows, index),
            items=chosen.items,
            ages=None,
            weight=np.ones(len(users)),
            features=features,
            seen=seen,
            candidates=None,
            rng=rng,
        )
        return _own(example)

    signature = _own(ExampleBatch.signature(n_features=0, sampled=False))
    return user_epochs(
        "autoencoder_examples", events, batch_size, seed, first_epoch, build, signature, shard
    )


def _own(batch: dict) -> dict:
    """The batch with the history's pairs named `self_pairs`: they are targets, not masked."""
    return {"self_pairs" if name == "masked" else name: value for name, value in batch.items()}
