"""Perturbations of a ranker's item vectors for adversarial training."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import tf


def no_perturbation(
    batch: Mapping[str, tf.Tensor], dim: int, reads_history: bool
) -> dict[str, tf.Tensor]:
    """Returns zeros for the vectors of a batch: `item` `[B, N, dim]`, `history` `[B, L, dim]`.

    Args:
      batch: of `ranking_examples`.
      dim: size of a vector.
      reads_history: whether the ranker reads histories; without them only `item` is there.
    """
    n_users = tf.shape(batch["user"])[0]
    width = tf.size(batch["item"]) // tf.maximum(n_users, 1)
    found = {"item": tf.zeros(tf.stack([n_users, width, dim]))}
    if reads_history:
        found["history"] = tf.zeros(tf.concat([tf.shape(batch["history"]), [dim]], 0))
    return found


def perturbation(slopes: Mapping[str, tf.Tensor], epsilon: float) -> dict[str, tf.Tensor]:
    """Returns `epsilon g / |g|` of each row, with g the slopes of all its vectors together.

    It is the direction in which the loss of the row grows fastest, to first order; 0 where the
    slopes are 0. Source: Miyato et al., "Adversarial Training Methods for Semi-Supervised Text
    Classification" (ICLR 2017).

    Args:
      slopes: name -> gradient `[B, any, dim]` of the loss.
      epsilon: norm of the perturbation of a row.

    Example:
      >>> found = perturbation({"item": tf.constant([[[3.0, 4.0]]])}, 0.5)
      >>> found["item"].numpy().round(4)
      array([[[0.3, 0.4]]], dtype=float32)
    """
    # Slopes of a mean over many rows are small, and their squares would underflow.
    largest = [tf.reduce_max(tf.abs(one), [1, 2], keepdims=True) for one in slopes.values()]
    scale = tf.reduce_max(tf.concat(largest, 2), 2, keepdims=True)
    scaled = {name: tf.math.divide_no_nan(one, scale) for name, one in slopes.items()}
    squares = [tf.reduce_sum(one**2, [1, 2], keepdims=True) for one in scaled.values()]
    norm = tf.sqrt(tf.add_n(squares))
    return {name: epsilon * tf.math.divide_no_nan(one, norm) for name, one in scaled.items()}
