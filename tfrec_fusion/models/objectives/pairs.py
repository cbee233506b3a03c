"""Training on user-item pairs with in-batch negatives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.losses import InBatchSoftmax
from tfrec_fusion.models.objectives.candidates import context_of, events_of
from tfrec_fusion.models.objectives.targets import Targets


def pair_vectors(
    model,
    batch: Mapping[str, tf.Tensor],
    training=None,
    state: tuple[tf.Tensor, tf.Tensor] | None = None,
    queued: bool = True,
) -> tuple[tf.Tensor, tf.Tensor, Targets, tf.Tensor]:
    """Computes user and item vectors of a `TwoTower` for a batch of `pair_examples`.

    Work and gradients are proportional to the batch: it only gathers from the tables, and runs the
    item tower once on the distinct rows of items and histories, which so share a dropout draw.

    Args:
      model: a `TwoTower`.
      batch: a batch that passes `check_pairs`: `user`, `item` `[B]` int32; `history` `[B, L]`
        int32, padded with -1, if the user tower reads histories; optionally `history_age` `[B, L]`
        float32 days (default 0), `weight` and `log_q` `[B]` float32. By default an item's q is its
        share of the events that the model was built from.
      state: item features `[n_items, F]` float32 and whether each item is warm, `[n_items]` bool,
        for a model with trend; None for a model without, and takes all items as warm.
      queued: whether training adds the vectors of the model's queue to the candidates.

    Returns:
      User vectors `[B, D]` float32; vectors `[U, D]` float32 of the pairs' distinct items, which
      are the candidates, in training followed by those of the model's queue; each pair's target;
      and the distinct item rows `[R]` int32 of pairs and histories.
    """
    item = batch["item"]
    history_item, history_row, history_age, events = _flat_history(model, batch)
    rows, position = tf.unique(tf.concat([item, history_item], 0))
    features, known = tf.zeros([tf.size(rows), 0]), tf.ones_like(rows, tf.bool)
    if state is not None:
        features, known = (tf.gather(values, rows) for values in state)
    fused = model.tower(rows, known, training=training)
    n_pairs = tf.shape(item)[0]
    items = model.item_side(fused, rows, features, known)
    users = model.user_vectors(
        batch["user"],
        model.past_vectors(tf.gather(fused, position[n_pairs:]), events),
        history_item,
        history_row,
        history_age,
        training=training,
        context=context_of(batch),
    )
    # The distinct items of the pairs come first.
    own = position[:n_pairs]
    n_items = tf.reduce_max(own) + 1
    if "log_q" in batch:
        log_q = tf.math.unsorted_segment_max(batch["log_q"], own, n_items)
    else:
        log_q = tf.gather(model.item_log_share, tf.maximum(rows[:n_items], 0))
    items = items[:n_items]
    if training and queued and model.config.queue:
        items, log_q = model.queue(items, rows[:n_items], log_q)
    target = tf.stack([tf.range(n_pairs), own], 1)
    nothing = tf.zeros([0, 2], tf.int32)
    targets = Targets(target, nothing, None, log_q, model.spec.n_items)
    return users, items, targets, rows


def batch_softmax(
    targets: Targets, users: tf.Tensor, items: tf.Tensor, weight: tf.Tensor | None, dtype: str
) -> tf.Tensor:
    """Computes `InBatchSoftmax` from `pair_vectors`, without storing all logits."""
    softmax = InBatchSoftmax(matmul_dtype=dtype)
    return softmax(
        users, items, log_q=targets.log_q, weight=weight, positive_index=targets.target[:, 1]
    )


def log_shares(events: Interactions) -> np.ndarray:
    """Returns the log of each item's share of known users' positive events, `[n_items]` float32.

    An item without events counts as one event, so that its share is never 0.
    """
    taken = events.positives()
    counts = np.bincount(taken.item[taken.user >= 0], minlength=len(events.catalogue))
    return np.log(np.maximum(counts, 1) / max(counts.sum(), 1)).astype(np.float32)


def check_pairs(model, batch) -> None:
    """Raises InputError if a `TwoTower` cannot be trained on pairs with these fields."""
    received = f"Received: {sorted(batch)}"
    if model.spec.feature_names:
        raise InputError(
            "TwoTower: pairs have no 'item_features', which a model with trend reads; pass "
            f"trend=False, or train on batches with examples='as_of'. {received}"
        )
    if "label" in batch:
        raise InputError(
            "TwoTower: pairs have a 'label', but a softmax treats each pair as a positive; pass "
            f"negatives=0, and events.positives() if the events have labels. {received}"
        )
    user = model.config.user
    if model.reads_history and "history" not in batch:
        raise InputError(
            f"TwoTower: pairs have no 'history', which user={user!r} reads; add it or "
            f"pass user='id'. {received}"
        )


def _flat_history(model, batch):
    """Returns items, ascending batch rows and ages of the histories without padding, each `[H]`.

    And the encoded features of their events, or None.
    """
    if not model.reads_history:
        return tf.zeros([0], tf.int32), tf.zeros([0], tf.int32), tf.zeros([0]), None
    history = batch["history"]
    place = tf.where(history >= 0)
    items = tf.gather_nd(history, place)
    if "history_age" in batch:
        ages = tf.gather_nd(batch["history_age"], place)
    else:
        ages = tf.zeros(tf.shape(items))
    events = events_of(batch)
    if events is not None:
        events = tuple(tf.gather_nd(values, place) for values in events)
    return items, tf.cast(place[:, 0], tf.int32), ages, events
