"""The candidates of a batch, and the vectors to score them."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import tf
from tfrec_fusion.features.context import CONTEXT_FIELDS
from tfrec_fusion.features.history_events import EVENT_FIELDS


def candidates(model, batch: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the candidates' item rows `[C]` int32, and whether each is warm, `[C]` bool."""
    rows = batch["candidate"] if "candidate" in batch else tf.range(model.spec.n_items)
    return rows, batch["is_warm"]


def context_of(batch: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, ...] | None:
    """Returns the encoded context of a batch; None without one."""
    return tuple(batch[n] for n in CONTEXT_FIELDS) if CONTEXT_FIELDS[0] in batch else None


def events_of(batch: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, ...] | None:
    """Returns the encoded features of the history's events in a batch; None without any."""
    return tuple(batch[n] for n in EVENT_FIELDS) if EVENT_FIELDS[0] in batch else None


def fused_vectors(
    model, batch: Mapping[str, tf.Tensor], training=None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Computes the vectors of a batch's items in one pass of the item tower.

    Returns:
      Rows `[C]` of the candidates, whether each is warm, their fused vectors `[C, dim]`, and those
      of the history's items `[H, dim]`, changed by the features of their events.
    """
    history = batch["history_item"]
    rows, seen = candidates(model, batch)
    if "candidate" in batch:
        # One pass over the distinct rows, so that history and targets share a dropout draw.
        distinct, position = tf.unique(tf.concat([rows, history], 0))
        n_candidates = tf.shape(rows)[0]
        old = tf.zeros(tf.shape(distinct)[:1] - n_candidates, tf.bool)
        fused = model.tower(distinct, tf.concat([seen, ~old], 0), training=training)
        history_vectors = tf.gather(fused, position[n_candidates:])
        fused = fused[:n_candidates]
    else:
        fused = model.tower(rows, seen, training=training)
        history_vectors = tf.gather(fused, history)
    return rows, seen, fused, model.past_vectors(history_vectors, events_of(batch))


def candidate_vectors(
    model, batch: Mapping[str, tf.Tensor], training=None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Computes user and candidate vectors of a `TwoTower` for a batch of `Interactions.batches`.

    Returns:
      User vectors `[B, D]`, item vectors `[C, D]`, fused vectors of the candidates `[C, dim]`, and
      those of the history's items `[H, dim]`, changed by the features of their events.
    """
    rows, seen, fused, history_vectors = fused_vectors(model, batch, training)
    items = model.item_side(fused, rows, batch["item_features"], seen)
    users = model.user_vectors(
        batch["user"],
        history_vectors,
        batch["history_item"],
        batch["history_row"],
        batch["history_age"],
        training=training,
        context=context_of(batch),
    )
    return users, items, fused, history_vectors


def repeated_scores(model, batch: Mapping[str, tf.Tensor], scores, history_vectors) -> tf.Tensor:
    """Adds the scores of history items for being taken again to scores `[B, C]`."""
    pairs, added = model.repeat_score(
        history_vectors, batch["history_item"], batch["history_row"], batch["history_age"]
    )
    if "candidate" in batch:
        # Sampled candidates are distinct and ascending.
        place = tf.searchsorted(batch["candidate"], pairs[:, 1])
        place = tf.minimum(place, tf.size(batch["candidate"]) - 1)
        there = tf.gather(batch["candidate"], place) == pairs[:, 1]
        pairs = tf.boolean_mask(tf.stack([pairs[:, 0], place], 1), there)
        added = tf.boolean_mask(added, there)
    return tf.tensor_scatter_nd_add(scores, pairs, added)
