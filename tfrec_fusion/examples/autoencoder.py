"""Autoencoder examples: a user's items predict themselves."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.batch import ExampleBatch
from tfrec_fusion.examples.continuations import check_whole, continuations
from tfrec_fusion.examples.user_epochs import is_target, step_ages, user_epochs
from tfrec_fusion.features.history_events import history_events
from tfrec_fusion.features.side import Side


def autoencoder_examples(
    events: Interactions,
    batch_size: int = 256,
    *,
    dropout: float = 0.2,
    steps_per_epoch: int | None = None,
    known: Interactions | None = None,
    event_side: Side | None = None,
    seed: int = 0,
    first_epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns batches of users: all items are targets, and all but a few are also the history.

    Items of events of weight 0 are history alone.

    For interactions without a meaningful order. Models subtract each history item's own part from
    its score, so that no item predicts itself: the batch names these (user, item) pairs
    `self_pairs` instead of `masked`. An epoch visits every user with at least two items once and
    drops each item from the history with probability `dropout` (denoising), drawn anew each epoch.
    Warm items are those that occur in `events`; there are no item features (F = 0).

    Args:
      events: training events.
      batch_size: users per batch.
      dropout: probability that an item is missing in the history, in [0, 1); each user keeps at
        least one.
      steps_per_epoch: most batches of an epoch, drawn anew in each; None for all.
      known: for validation, with the held-out events as `events`: the earlier events, which are the
        history; the user's new items are the dropped ones. See `continuations`.
      event_side: the features of events of a model, its `spec.event_side`; the batches then hold
        those of the histories' events.
      seed: of the order and the dropout.
      first_epoch: number of epochs already done; the dataset continues with the next one.
      shard: (index, count) of the worker; see `epoch_batches`.

    Returns:
      A dataset of known cardinality whose elements are dicts; see `ExampleBatch`.

    Raises:
      InputError: bad sizes, no user with two items, or as in `continuations`.

    Example:
      >>> batches = split.train.batches(256, examples="autoencoder")
    """
    if not 0 <= dropout < 1:
        raise InputError(
            f"autoencoder_examples: dropout must be at least 0 and below 1. Received: {dropout}"
        )
    if known is not None:
        check_whole("autoencoder_examples", shard, steps_per_epoch)
        batches = continuations(
            "autoencoder_examples",
            events,
            known,
            batch_size,
            denoising=True,
            event_side=event_side,
        )
        return batches.map(_with_self_pairs)
    past_events = {} if event_side is None else history_events(event_side, events)
    seen, wanted = events.item_counts() > 0, is_target(events)
    features = np.zeros((len(seen), 0), np.float32)

    def build(users, chosen, rows, draw, rng):
        kept = (draw >= dropout) | (draw == np.maximum.reduceat(draw, chosen.splits[:-1])[rows])
        index, target = np.arange(len(rows)), wanted[chosen.events]
        example = ExampleBatch.build(
            users=users,
            history=(rows[kept], index[kept]),
            targets=(rows[target], index[target]),
            items=chosen.items,
            ages=step_ages(events, chosen),
            weight=np.ones(len(users)),
            features=features,
            seen=seen,
            candidates=None,
            rng=rng,
            events={name: values[chosen.events] for name, values in past_events.items()},
        )
        return _with_self_pairs(example)

    signature = _with_self_pairs(
        ExampleBatch.signature(n_features=0, sampled=False, event=event_side)
    )
    return user_epochs(
        "autoencoder_examples",
        events,
        batch_size,
        seed,
        first_epoch,
        build,
        signature,
        shard,
        steps_per_epoch,
    )


def _with_self_pairs(batch: dict) -> dict:
    """Renames the pairs of the history from `masked` to `self_pairs`, as they are targets."""
    return {"self_pairs" if name == "masked" else name: value for name, value in batch.items()}
