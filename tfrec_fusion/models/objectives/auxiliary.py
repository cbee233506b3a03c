"""Losses that are added to a TwoTower's own."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError


def alignment_loss(model, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """`InfoNCE` between the ids of the batch's targets and an MLP of their content.

    Over the distinct targets that have both, nothing dropped out. The logits are `[M, M]` for M
    distinct targets.

    Args:
      model: a `TwoTower` with ids and vectors.
      batch: pairs, or a batch of `Interactions.batches`.
    """
    if "item" in batch:
        rows = tf.unique(batch["item"])[0]
        seen = tf.ones_like(rows, tf.bool)
    else:
        position = tf.unique(batch["target"][:, 1])[0]
        rows = tf.gather(batch["candidate"], position) if "candidate" in batch else position
        seen = tf.gather(batch["item_seen"], position)
    inputs, masks = model.tower.inputs(rows, seen)
    contents = [name for name in inputs if name != "id"]
    content = tf.concat([tf.cast(inputs[name], tf.float32) for name in contents], 1)
    has_content = tf.reduce_any(tf.stack([masks[name] for name in contents], 1), 1)
    return model.info_nce(inputs["id"], model.content_view(content), seen & has_content)


def distillation_loss(model, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """`Distillation` of the model's scores to its scores with the candidates' ids hidden.

    The same users score the same candidates, which have neither ids nor biases, as if none had been
    seen before; nothing is dropped out. What the loss masks is masked, and so is the history of
    autoencoder examples.

    Args:
      model: a `TwoTower` with ids and vectors.
      batch: of `Interactions.batches`.

    Raises:
      InputError: a batch of pairs.
    """
    if "item" in batch:
        raise InputError(
            "TwoTower: distillation needs candidates, which pairs do not have; pass "
            f"distillation=0, or train on other examples. Received: {sorted(batch)}"
        )
    rows, seen = model.candidates(batch)
    users, items, _ = model.sides(batch)
    cold = model.item_vectors(rows, batch["item_features"], tf.zeros_like(seen))
    return model.distil(
        tf.matmul(users, cold, transpose_b=True),
        tf.matmul(users, items, transpose_b=True),
        batch.get("masked", batch.get("own")),
        batch.get("log_q"),
    )
