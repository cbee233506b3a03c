"""Training on sequences: each position predicts the next event."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.objectives.candidates import fused_vectors
from tfrec_fusion.models.objectives.targets import Targets


def sequence_vectors(
    model, batch: Mapping[str, tf.Tensor], training=None
) -> tuple[tf.Tensor, tf.Tensor, Targets]:
    """Computes user and candidate vectors of a `TwoTower` for a batch of `sequence_examples`.

    Returns:
      User vectors `[T, D]` at the positions that predict a target, item vectors `[C, D]`, and the
      targets, one a row.
    """
    rows, seen, fused, history_vectors = fused_vectors(model, batch, training)
    items = model.item_side(fused, rows, batch["item_features"], seen)
    users = model.position_vectors(
        batch["user"],
        history_vectors,
        batch["history_item"],
        batch["history_row"],
        batch["history_age"],
        training=training,
    )
    place, candidate = tf.unstack(batch["next"], axis=1)
    target = tf.stack([tf.range(tf.size(place)), candidate], 1)
    nothing = tf.zeros([0, 2], tf.int32)
    return (
        tf.gather(users, place),
        items,
        Targets(target, nothing, batch["is_warm"], batch.get("log_q"), model.spec.n_items),
    )


def check_sequences(model, batch) -> None:
    """Raises InputError if a `TwoTower` cannot be trained on sequences."""
    received = f"Received: {sorted(batch)}"
    tower = type(model.user_tower).__name__
    if not model.user_tower.encodes_positions:
        raise InputError(
            f"TwoTower: {tower} gives one vector for a history, not one for each of its events; "
            "train on examples='as_of' or 'held_out', or pass user='sasrec' or another "
            f"SequenceTower. {received}"
        )
    if model.spec.feature_names:
        raise InputError(
            "TwoTower: sequences have no 'item_features', as each position has a time of its own, "
            "and a model with trend reads them; pass trend=False, or train on batches with "
            f"examples='as_of'. {received}"
        )
    if model.spec.context_side is not None:
        raise InputError(
            "TwoTower: sequences have no features of requests, which this model declares; leave "
            f"out the context features, or train on batches with examples='as_of'. {received}"
        )
    for option in ("history_dropout", "distillation"):
        value = getattr(model.config, option)
        if value:
            raise InputError(
                f"TwoTower: {option} is not supported on sequences; pass {option}=0. "
                f"Received: {value}"
            )
