"""Held-out examples: some of a user's items predict the others."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.batch import ExampleBatch
from tfrec_fusion.examples.candidates import resolved_candidates
from tfrec_fusion.examples.continuations import check_whole, continuations
from tfrec_fusion.examples.item_sampler import ItemSampler, Sampling
from tfrec_fusion.examples.user_epochs import is_target, step_ages, user_epochs
from tfrec_fusion.features.history_events import history_events
from tfrec_fusion.features.side import Side


def held_out_examples(
    events: Interactions,
    batch_size: int = 256,
    *,
    share: float = 0.2,
    candidates: int | Literal["auto"] | None = "auto",
    sampling: Sampling = "uniform",
    steps_per_epoch: int | None = None,
    known: Interactions | None = None,
    event_side: Side | None = None,
    seed: int = 0,
    first_epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns batches of users: a random share of their items are targets, the rest is history.

    Items of events of weight 0 are history alone.

    For interactions without times. A target is never in its own history (leave-target-out). Each
    epoch visits every user with at least two items once, with newly drawn targets. Warm items are
    those that occur in `events`; there are no item features (F = 0).

    Args:
      events: training events.
      batch_size: users per batch.
      share: probability that an item is a target, in (0, 1); each user has at least one target and
        one history item.
      candidates: None scores the whole catalogue; a number scores that many sampled items besides
        the batch's targets. "auto" samples 8,192 if `batch_size` x items is beyond 2^24.
      sampling: how they are sampled: "uniform", by "popularity", or half and half, "mixed"; see
        `ItemSampler`.
      steps_per_epoch: most batches of an epoch, drawn anew in each; None for all.
      known: for validation, with the held-out events as `events`: the earlier events, for the
        histories; all new items of a user are targets. See `continuations`.
      event_side: the features of events of a model, its `spec.event_side`; the batches then hold
        those of the histories' events.
      seed: of the order, the targets and the sampled candidates.
      first_epoch: number of epochs already done; the dataset continues with the next one.
      shard: (index, count) of the worker; see `epoch_batches`.

    Returns:
      A dataset of known cardinality whose elements are dicts; see `ExampleBatch`.

    Raises:
      InputError: bad sizes, no user with two items, or as in `continuations`.
    """
    candidates = resolved_candidates(candidates, len(events.catalogue), batch_size)
    if known is not None:
        check_whole("held_out_examples", shard, steps_per_epoch)
        return continuations(
            "held_out_examples",
            events,
            known,
            batch_size,
            candidates=candidates,
            sampling=sampling,
            event_side=event_side,
            seed=seed,
        )
    if not 0 < share < 1:
        raise InputError(f"held_out_examples: share must be between 0 and 1. Received: {share}")
    past_events = {} if event_side is None else history_events(event_side, events)
    counts, wanted = events.item_counts(), is_target(events)
    seen, sampler = counts > 0, ItemSampler(sampling, counts)
    features = np.zeros((len(seen), 0), np.float32)

    def build(users, chosen, rows, draw, rng):
        # A user's smallest draw is always a target and the largest always history.
        draw = np.where(wanted[chosen.events], draw, 1.0 + draw)
        starts = chosen.splits[:-1]
        lowest, highest = (f.reduceat(draw, starts)[rows] for f in (np.minimum, np.maximum))
        target = ((draw < share) | (draw == lowest)) & (draw != highest)
        index = np.arange(len(rows))
        weight = np.sqrt(np.bincount(rows[target], minlength=len(users)))
        return ExampleBatch.build(
            users=users,
            history=(rows[~target], index[~target]),
            targets=(rows[target], index[target]),
            items=chosen.items,
            ages=step_ages(events, chosen),
            weight=weight / weight.mean(),
            features=features,
            seen=seen,
            candidates=candidates,
            rng=rng,
            events={name: values[chosen.events] for name, values in past_events.items()},
            sampler=sampler,
        )

    signature = ExampleBatch.signature(
        n_features=0, sampled=candidates is not None, event=event_side
    )
    return user_epochs(
        "held_out_examples",
        events,
        batch_size,
        seed,
        first_epoch,
        build,
        signature,
        shard,
        steps_per_epoch,
    )
