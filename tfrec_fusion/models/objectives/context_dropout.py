"""Hides the context of examples in training, so that a model learns to score without it."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import tf
from tfrec_fusion.features.context import CONTEXT_FIELDS, asked_columns, neutral_context
from tfrec_fusion.features.side import Side


def hidden_contexts(
    batch: Mapping[str, tf.Tensor], side: Side, rate: float, seed
) -> dict[str, tf.Tensor]:
    """Returns a batch in which each row has no context but its time with probability `rate`.

    Args:
      batch: examples with the encoded context.
      side: the features of the context.
      rate: in [0, 1).
      seed: `[2]` int64 of the draw.
    """
    hidden = tf.random.stateless_uniform(tf.shape(batch["user"]), seed) < rate
    changed = dict(batch)
    for name, nothing, asked in zip(
        CONTEXT_FIELDS, neutral_context(side), asked_columns(side), strict=True
    ):
        changed[name] = tf.where(hidden[:, None] & asked, nothing, batch[name])
    return changed
