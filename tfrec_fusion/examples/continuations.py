"""Validation examples: histories from known events, targets from later ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError, check_whole_number
from tfrec_fusion.examples.batch import ExampleBatch, ranges
from tfrec_fusion.examples.epoch_batches import epoch_batches
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.examples.item_sampler import ItemSampler, Sampling
from tfrec_fusion.examples.made_from import made_from
from tfrec_fusion.features.context import history_context
from tfrec_fusion.features.history_events import history_events
from tfrec_fusion.features.item_trend import ItemTrend
from tfrec_fusion.features.side import Side
from tfrec_fusion.times import DAY


def continuations(
    name: str,
    events: Interactions,
    known: Interactions,
    batch_size: int,
    *,
    dated: bool = False,
    at: float | None = None,
    last: int | None = None,
    candidates: int | None = None,
    sampling: Sampling = "uniform",
    denoising: bool = False,
    repeats: bool = False,
    numbers: Sequence[str] | None = None,
    context_side: Side | None = None,
    event_side: Side | None = None,
    seed: int = 0,
) -> tf.data.Dataset:
    """Returns batches for validation: histories and item features from `known`, targets after.

    Each user with a history and at least one item in `events` gives an example, as in
    `Split.targets`; items of the history are targets only if repeated events count. The order is
    that of the user rows, the same in every pass.

    Args:
      name: of the examples, for errors.
      events: the later events, e.g. `split.test`.
      known: the earlier events, e.g. `split.train`, with the same vocabularies.
      batch_size: users per batch.
      dated: whether to add ages and item features as of the cut; otherwise F = 0.
      at: unix time of the cut; by default the moment after the last known event.
      last: keep only this many last events of a history.
      candidates: number of items to sample besides the batch's targets; None scores all.
      sampling: see `ItemSampler`, which counts the known events.
      denoising: whether the items of the history are targets too, but for those of weight 0, as in
        autoencoder examples.
      repeats: whether repeated events without times may count.
      numbers: as in `as_of_examples`.
      context_side: the context features of a model; the context is that of each user's first new
        item.
      event_side: the features of events of a model, of which `known` gives the values.
      seed: of the sampled candidates.

    Returns:
      A dataset of known cardinality whose elements are dicts; see `ExampleBatch`.

    Raises:
      InputError: the vocabularies differ, times are needed but missing, events lie before the cut,
        or no user gives an example.
    """
    check_whole_number(f"{name}: batch_size", batch_size)
    if events.users != known.users or events.catalogue.vocabulary != known.catalogue.vocabulary:
        raise InputError(f"{name}: events and known must share their user and item vocabularies")
    if events.repeats != known.repeats:
        raise InputError(
            f"{name}: events and known must have the same repeats; pass "
            f"events.with_repeats({known.repeats!r}). Received: {events.repeats!r} and "
            f"{known.repeats!r}"
        )
    repeated = known.repeats == "all"
    if not dated and not repeats:
        check_repeats(name, known)
    known, events = (
        known.counted_events(),
        events.target_events().with_repeats("first").first_events(),
    )
    features, time = np.zeros((len(events.catalogue), 0), np.float32), 0.0
    seen = known.item_counts() > 0
    if dated:
        if events.timestamp is None or known.timestamp is None:
            raise InputError(f"{name}: events and known need a column 'timestamp'")
        trend = ItemTrend(known, numbers)
        time = trend.end if at is None else at
        if at is not None:
            early = events.timestamp[events.user >= 0] < at
            if early.any():
                raise InputError(
                    f"{name}: {early.sum()} events are before the cut; pass a smaller at or leave "
                    f"them out. Received: at={at}"
                )
            known = known.select(known.timestamp < at)
        features, seen = trend.at(time)
    sampler = ItemSampler(sampling, known.item_counts())
    past = known.histories()
    later, had = (np.int64(len(x.catalogue)) * x.user + x.item for x in (events, known))
    new = (events.user >= 0) & (repeated | ~np.isin(later, had))
    new &= past.lengths[np.maximum(events.user, 0)] > 0
    events = events.select(new)
    future = events.histories()
    contexts = {} if context_side is None else history_context(context_side, events)
    past_events = {} if event_side is None else history_events(event_side, known)
    users = np.flatnonzero(future.lengths).astype(np.int32)
    if len(users) == 0:
        raise InputError(f"{name}: no user has both a known event and a new item in events")
    items = np.concatenate([past.items, future.items])
    of_past = known.history_weights()
    wanted = np.ones(len(past.items), bool) if of_past is None else of_past > 0
    mass = np.bincount(events.user, events.weight, len(events.users))[users]
    weights = np.ones(len(users)) if denoising else np.sqrt(mass)
    weights /= weights.mean()

    steps = None if known.position is None else past.steps

    def ages(index):
        if steps is not None:
            return steps[index]
        return (time - past.event_times[index]) / DAY

    def build(_, place: int, rng: np.random.Generator) -> dict:
        chosen = users[place * batch_size : (place + 1) * batch_size]
        start, stop = past.splits[chosen], past.splits[chosen + 1]
        if last is not None:
            start = np.maximum(start, stop - last)
        history = ranges(start, stop)
        targets = ranges(*(len(past.items) + future.splits[chosen + side] for side in (0, 1)))
        if denoising:
            kept = wanted[history[1]]
            own = history[0][kept], history[1][kept]
            rows, index = (np.concatenate(parts) for parts in zip(own, targets, strict=True))
            order = np.argsort(rows, kind="stable")
            targets = rows[order], index[order]
        return ExampleBatch.build(
            users=chosen,
            history=history,
            targets=targets,
            items=items,
            ages=ages if dated or steps is not None else None,
            weight=weights[place * batch_size : (place + 1) * batch_size],
            features=features,
            seen=seen,
            candidates=candidates,
            rng=rng,
            mask_history=not repeated,
            context={n: values[future.splits[chosen]] for n, values in contexts.items()},
            events=past_events,
            sampler=sampler,
        )

    sampled = candidates is not None
    signature = ExampleBatch.signature(
        features.shape[1], sampled, context_side, not repeated, event_side
    )
    n_batches = -(-len(users) // batch_size)
    # Epochs are not counted, so every pass over the validation examples is the same.
    epochs = Epochs(seed)
    batches = epoch_batches(n_batches, lambda _: None, build, signature, epochs, counted=False)
    return made_from(events, batches)


def check_repeats(name: str, events: Interactions) -> None:
    """Raises InputError for events whose repeated events count."""
    if events.repeats == "all":
        raise InputError(
            f"{name}: repeated events are trained with examples='as_of' alone; use these or pass "
            "events.with_repeats('first') (in a run's config data.repeats: first). "
            "Received: repeats='all'"
        )


def check_whole(name: str, shard: tuple[int, int], steps_per_epoch: int | None) -> None:
    """Raises InputError for options that leave out batches of validation examples."""
    if tuple(shard) != (0, 1):
        raise InputError(
            f"{name}: shard is only for training; validation with known= uses all users on each "
            f"worker, so leave it out. Received: shard={shard}"
        )
    if steps_per_epoch is not None:
        raise InputError(
            f"{name}: steps_per_epoch is only for training; for fewer validation batches pass "
            f"batches.take(n), the same in each pass. Received: steps_per_epoch={steps_per_epoch}"
        )
