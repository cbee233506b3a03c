"""What the items of a history add to their own scores."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import tf


def own_scores(model, fused, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Each history item's part of its own score in a `TwoTower`, exactly.

    A user's vector is a sum over the history, so the score of item i has a part that i itself
    brings: `scale * sum_p c_p (W_p v_i).v_i` over the pools p, c_p being what the item counts in
    the pool and W_p the pool's block of the user tower's linear map. Trained on an item that is
    also in the history, a model learns just this part, and it is of no use.

    Args:
      model: a `TwoTower` that reads histories and no trend.
      fused: `[N, dim]` float, the item tower's output for all items.
      batch: `history_item`, `history_row` and `history_age`, `[H]` each.

    Returns:
      `[H]` float32.
    """
    item = batch["history_item"]
    fused = tf.cast(fused, tf.float32)
    shares = model.pooling.shares(
        batch["history_row"],
        batch["history_age"],
        tf.shape(batch["user"])[0],
        model.weights_of(item),
    )
    if model.config.user_layer:
        dim = model.config.dim
        kernel = tf.reshape(model.to_user.kernel[: 2 * dim], [2, dim, dim])
        products = tf.stack([tf.reduce_sum((fused @ kernel[p]) * fused, 1) for p in (0, 1)], 1)
    else:
        products = tf.reduce_sum(tf.square(fused), 1, keepdims=True) / 2
    return model.scale * tf.reduce_sum(shares * tf.gather(products, item), 1)
