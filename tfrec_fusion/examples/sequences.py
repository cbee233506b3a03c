"""Sequence examples: each event of a history predicts the next one."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.batch import ExampleBatch, ranges
from tfrec_fusion.examples.candidates import resolved_candidates
from tfrec_fusion.examples.continuations import check_whole, continuations
from tfrec_fusion.examples.epoch_batches import (
    check_count,
    check_shard,
    check_steps,
    epoch_batches,
)
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.examples.made_from import made_from
from tfrec_fusion.examples.user_epochs import is_target
from tfrec_fusion.features.history_events import history_events
from tfrec_fusion.features.side import Side
from tfrec_fusion.times import DAY

_POOL = 32  # batches whose sequences are sorted by length together
_ROWS = 512  # by which the number of candidates is chosen: the softmax is never stored whole


def sequence_examples(
    events: Interactions,
    batch_size: int = 128,
    *,
    max_len: int = 50,
    candidates: int | Literal["auto"] | None = "auto",
    steps_per_epoch: int | None = None,
    known: Interactions | None = None,
    event_side: Side | None = None,
    seed: int = 0,
    first_epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns batches of sequences in which every event but the first is a target.

    A user's history is cut into windows of `max_len` events from the end, each of which predicts
    the events one place later; an epoch visits every window once, in a new random order. Batches
    hold windows of similar lengths, as the model pads them to the longest. Ages count from the last
    target of a window. Events of weight 0 are no targets. Warm items are those that occur in
    `events`; there are no item features (F = 0).

    Args:
      events: training events with times or positions.
      batch_size: windows per batch.
      max_len: largest number of events that a window reads, at most that of the model's tower.
      candidates: None scores the whole catalogue; a number scores that many sampled items besides
        the batch's targets. "auto" samples 8,192 beyond 32,768 items.
      steps_per_epoch: most batches of an epoch, drawn anew in each; None for all.
      known: for validation, with the held-out events as `events`: the earlier events, for
        histories; all new items of a user are targets. See `continuations`.
      event_side: the features of events of a model, its `spec.event_side`.
      seed: of the order and the sampled candidates.
      first_epoch: number of epochs already done; the dataset continues with the next one.
      shard: (index, count) of the worker; see `epoch_batches`.

    Returns:
      A dataset of known cardinality whose elements are dicts as of `ExampleBatch`, without `masked`
      and with `next` `[T, 2]` int32 in the place of `target`: pairs (place in the flat histories,
      position among the candidates), and `weight` `[T]`.

    Raises:
      InputError: neither times nor positions, bad sizes, no user with two events, or as in
        `continuations`.

    Example:
      >>> batches = split.train.batches(128, examples="sequence", max_len=20)
      >>> next(iter(batches))["next"].shape[1]
      2
    """
    if events.timestamp is None and events.position is None:
        raise InputError(
            "sequence_examples: the events need a column 'timestamp' or 'position'; without an "
            "order pass examples='held_out'"
        )
    candidates = resolved_candidates(candidates, len(events.catalogue), _ROWS)
    if known is not None:
        check_whole("sequence_examples", shard, steps_per_epoch)
        return continuations(
            "sequence_examples",
            events,
            known,
            batch_size,
            dated=known.timestamp is not None,
            repeats=True,
            candidates=candidates,
            event_side=event_side,
            seed=seed,
        )
    for name, value in (("batch_size", batch_size), ("max_len", max_len)):
        check_count("sequence_examples", name, value)
    check_steps("sequence_examples", steps_per_epoch)
    events = events.counted_events()
    histories, wanted = events.histories(), is_target(events)
    weights = events.history_weights()
    if weights is not None:
        weights = weights / weights[wanted].mean()
    begin, end = _windows(histories.splits, max_len)
    sums = np.concatenate([[0], np.cumsum(wanted)])
    kept = sums[end + 1] > sums[begin + 1]
    begin, end = begin[kept], end[kept]
    if not len(begin):
        raise InputError(
            "sequence_examples: no user has two events, the later one with a weight above 0; add "
            f"events. Received: first events of {len(histories.lengths)} users"
        )
    users = (np.searchsorted(histories.splits, begin, "right") - 1).astype(np.int32)
    past_events = {} if event_side is None else history_events(event_side, events)
    seen = events.item_counts() > 0
    features = np.zeros((len(seen), 0), np.float32)
    n_batches = -(-len(users) // batch_size)
    if steps_per_epoch is not None:
        n_batches = min(n_batches, steps_per_epoch * check_shard(shard)[1])

    def plan(rng: np.random.Generator) -> list[np.ndarray]:
        order, size = rng.permutation(len(users)), batch_size * _POOL
        pools = (order[place : place + size] for place in range(0, len(order), size))
        batches = []
        for pool in pools:
            pool = pool[np.argsort(end[pool] - begin[pool], kind="stable")]
            batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
        return [batches[place] for place in rng.permutation(len(batches))]

    def build(epoch: list[np.ndarray], place: int, rng: np.random.Generator) -> dict:
        chosen = epoch[place]
        rows, index = ranges(begin[chosen], end[chosen])
        latest = end[chosen][rows]

        def ages(index):
            if events.position is not None:
                return latest - index - 1
            return (histories.event_times[latest] - histories.event_times[index]) / DAY

        targets = np.flatnonzero(wanted[index + 1])
        batch = ExampleBatch.build(
            users=users[chosen],
            history=(rows, index),
            targets=(targets, index[targets] + 1),
            items=histories.items,
            ages=ages,
            weight=np.ones(len(targets)) if weights is None else weights[index[targets] + 1],
            features=features,
            seen=seen,
            candidates=candidates,
            rng=rng,
            mask_history=False,
            events=past_events,
        )
        return _with_next(batch)

    signature = ExampleBatch.signature(
        n_features=0, sampled=candidates is not None, masked=False, event=event_side
    )
    epochs = Epochs(seed, first_epoch)
    batches = epoch_batches(n_batches, plan, build, _with_next(signature), epochs, shard)
    return made_from(events, batches)


def _windows(splits: np.ndarray, max_len: int) -> tuple[np.ndarray, np.ndarray]:
    """Begins and ends of the windows: the events `[begin, end)` predict `[begin + 1, end]`."""
    most = np.maximum(np.diff(splits) - 1, 0)  # events that predict another one
    counts = -(-most // max_len)
    rows, nth = ranges(np.zeros_like(counts), counts)
    end = splits[1:][rows] - 1 - nth * max_len
    return np.maximum(end - max_len, splits[:-1][rows]), end


def _with_next(batch: dict) -> dict:
    """Renames `target`, whose rows are events here, to `next`."""
    return {"next" if name == "target" else name: value for name, value in batch.items()}
