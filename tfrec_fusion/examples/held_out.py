"""Held-out examples: part of a user's items, from the rest of them."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.batch import ExampleBatch
from tfrec_fusion.examples.continuations import check_whole, continuations
from tfrec_fusion.examples.user_epochs import user_epochs


def held_out_examples(
    events: Interactions,
    batch_size: int = 256,
    *,
    share: float = 0.2,
    candidates: int | None = None,
    known: Interactions | None = None,
    seed: int = 0,
    first_epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Batches of users with a random share of their items as targets and the rest as history.

    For interactions without times. A target is never in its own history (leave-target-out), and
    each epoch visits every user once with a share drawn anew. Items count as seen when they occur
    in `events`; there are no item features (F = 0).

    Args:
      events: training events.
      batch_size: users a batch.
      share: probability of an item to be a target, in (0, 1); each user has at least one target and
        one history item.
      candidates: None scores the whole catalogue; a number scores that many sampled items besides
        the batch's targets.
      known: for validation, with the held-out events as `events`: what was known before, of which
        the histories are made; all new items of a user are targets. See `continuations`.
      seed: of the order, the shares and the sampled candidates.
      first_epoch: epochs already done: the dataset goes on with the order of that one.
      shard: (index, count) of workers that share an epoch's batches; see `epoch_batches`.

    Returns:
      A dataset of known cardinality whose elements are dicts; see `ExampleBatch`.

    Raises:
      InputError: bad sizes, no user with two items, or what `continuations` refuses.
    """
    if known is not None:
        check_whole("held_out_examples", shard)
        return continuations(
            "held_out_examples", events, known, batch_size, candidates=candidates, seed=seed
        )
    if not 0 < share < 1:
        raise InputError(f"held_out_examples: share must be between 0 and 1. Received: {share}")
    seen = events.item_counts() > 0
    features = np.zeros((len(seen), 0), np.float32)

    def build(users, chosen, rows, draw, rng):
        # The smallest draw of a user is a target and the largest is history, whatever `share` is.
        starts = chosen.splits[:-1]
        lowest, highest = (f.reduceat(draw, starts)[rows] for f in (np.minimum, np.maximum))
        target = ((draw < share) | (draw == lowest)) & (draw != highest)
        index = np.arange(len(rows))
        counts = np.bincount(rows[target], minlength=len(users))
        weight = np.sqrt(counts)
        return ExampleBatch.build(
            users=users,
            history=(rows[~target], index[~target]),
            targets=(rows[target], index[target]),
            items=chosen.items,
            ages=None,
            weight=weight / weight.mean(),
            features=features,
            seen=seen,
            candidates=candidates,
            rng=rng,
        )

    signature = ExampleBatch.signature(n_features=0, sampled=candidates is not None)
    return user_epochs(
        "held_out_examples", events, batch_size, seed, first_epoch, build, signature, shard
    )
