"""The candidates of a `TwoStage` and their scores, in the graph."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.row_serving import RowServing
from tfrec_fusion.pipelines.terms import ROUNDING

_BELOW, _SPAN = 1.0, 10.0  # between the lowest logit and the other items, and between these


def two_stage_scores(
    scores: tf.Tensor,
    candidates: tf.Tensor,
    count: int,
    weight: float,
    ranker: RowServing,
    inputs: Mapping[str, tf.Tensor],
) -> tf.Tensor:
    """Returns the scores of users by both stages.

    The best `count` candidates have the ranker's logits, plus `weight` times the z-score of their
    scores, `(score - mean) / std` over them, if the weight is not 0. The others keep the order of
    `scores`, which are mapped linearly to the range from 1 to 11 below the lowest of these: so
    float32 keeps them apart, whatever their scale.

    Args:
      scores: of the retrieval model, `[B, N + 1]` float32, the last column of an unknown item,
        which moves no other.
      candidates: `[B, N]` bool.
      count: number of items to rank, at most N.
      weight: 0 or more.
      ranker: scores them.
      inputs: of `ranker`, without the items.

    Returns:
      `[B, N + 1]` float32.
    """
    known = scores[:, :-1]
    rows = tf.math.top_k(tf.where(candidates, known, -float("inf")), count).indices
    logits = ranker.answers({**inputs, "item": rows})["score"]
    if weight:
        # Fewer items may be left than are ranked.
        left = tf.gather(candidates, rows, batch_dims=1)
        logits += weight * _z_scores(tf.gather(known, rows, batch_dims=1), left)
    top = tf.reduce_max(known, 1, keepdims=True)
    span = top - tf.reduce_min(known, 1, keepdims=True)
    place = tf.math.divide_no_nan(tf.maximum(top - scores, 0.0), span)
    found = tf.reduce_min(logits, 1, keepdims=True) - _BELOW - _SPAN * place
    batch, width = tf.shape(rows)[0], tf.shape(rows)[1]
    places = tf.stack([tf.repeat(tf.range(batch), width), tf.reshape(rows, [-1])], 1)
    return tf.tensor_scatter_nd_update(found, places, tf.reshape(logits, [-1]))


def _z_scores(scores: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
    """Scores `[B, C]` less the mean of those kept, in standard deviations; 0 if all are equal."""
    weights = tf.cast(kept, tf.float32)
    count = tf.maximum(tf.reduce_sum(weights, 1, keepdims=True), 1.0)
    largest = tf.reduce_max(tf.abs(scores) * weights, 1, keepdims=True)
    apart = scores - tf.reduce_sum(scores * weights, 1, keepdims=True) / count
    spread = tf.sqrt(tf.reduce_sum((apart * weights) ** 2, 1, keepdims=True) / count)
    constant = spread <= ROUNDING * largest
    return tf.where(constant | ~kept, 0.0, apart / tf.where(constant, 1.0, spread))
