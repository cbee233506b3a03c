"""Additional loss terms of a TwoTower: L2, alignment and distillation."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.losses import Distillation, InfoNCE
from tfrec_fusion.models.objectives.candidates import candidate_vectors, candidates


def added_losses(model, batch: Mapping[str, tf.Tensor], touched) -> tf.Tensor | float:
    """Computes the additional loss terms of a training step: L2 of ids, alignment, distillation.

    Args:
      model: a `TwoTower`.
      batch: the batch of the step.
      touched: rows `[R]` int32 of the batch's items; None for all items.
    """
    added, config = 0.0, model.config
    if config.use_ids and config.id_l2:
        ids = model.tower.ids.table
        if touched is not None:
            ids = tf.nn.embedding_lookup(ids, tf.maximum(touched, 0))
        added += config.id_l2 * tf.nn.l2_loss(ids)
    if config.alignment:
        added += config.alignment * alignment_loss(model, batch)
    if config.distillation:
        added += config.distillation * distillation_loss(model, batch)
    return added


def content_view(tower) -> keras.Sequential:
    """Builds the MLP that maps an `ItemTower`'s content to the space of its ids."""
    view = keras.Sequential(
        [
            keras.layers.Dense(tower.fusion.dim, tf.nn.leaky_relu, dtype="float32"),
            keras.layers.Dense(tower.fusion.id_dim, dtype="float32"),
        ],
        name="content_view",
    )
    columns = [layer.dim or layer.input_dim for layer in tower.frozen.values()]
    view.build([None, sum(columns)])
    return view


def alignment_loss(model, batch: Mapping[str, tf.Tensor], temperature: float = 0.2) -> tf.Tensor:
    """Computes `InfoNCE` between the ids of the batch's targets and an MLP of their content.

    It covers the distinct targets with both id and content, without dropout. The logits are
    `[M, M]` for M distinct targets.

    Args:
      model: a `TwoTower` with ids and vectors.
      batch: pairs, or a batch of `Interactions.batches`.
      temperature: of `InfoNCE`.
    """
    if "item" in batch:
        rows = tf.unique(batch["item"])[0]
        seen = tf.ones_like(rows, tf.bool)
    else:
        position = tf.unique(batch["next" if "next" in batch else "target"][:, 1])[0]
        rows = tf.gather(batch["candidate"], position) if "candidate" in batch else position
        seen = tf.gather(batch["is_warm"], position)
    inputs, masks = model.tower.inputs(rows, seen)
    contents = list(model.tower.frozen)
    content = tf.concat([tf.cast(inputs[name], tf.float32) for name in contents], 1)
    has_content = tf.reduce_any(tf.stack([masks[name] for name in contents], 1), 1)
    return InfoNCE(temperature)(inputs["id"], model.content_view(content), seen & has_content)


def distillation_loss(model, batch: Mapping[str, tf.Tensor], temperature: float = 1.0) -> tf.Tensor:
    """Computes `Distillation` from the model's scores into its scores with cold candidates.

    Teacher and student score the same users and candidates without dropout; the student's
    candidates have neither ids nor biases. Candidates masked in the loss are masked here too, as
    are the self-pairs of autoencoder examples.

    Args:
      model: a `TwoTower` with ids and vectors.
      batch: a batch of `Interactions.batches`.
      temperature: of `Distillation`.

    Raises:
      InputError: the batch holds pairs.
    """
    if "item" in batch:
        raise InputError(
            "TwoTower: distillation needs candidates, which pairs do not have; pass "
            f"distillation=0, or train on other examples. Received: {sorted(batch)}"
        )
    rows, seen = candidates(model, batch)
    users, items, *_ = candidate_vectors(model, batch)
    cold = model.item_vectors(rows, batch["item_features"], tf.zeros_like(seen))
    return Distillation(temperature)(
        tf.matmul(users, cold, transpose_b=True),
        tf.matmul(users, items, transpose_b=True),
        batch.get("masked", batch.get("self_pairs", tf.zeros([0, 2], tf.int32))),
        batch.get("log_q"),
    )
