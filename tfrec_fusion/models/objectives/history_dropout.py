"""Hides whole histories in training, so that a model learns to score new users."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import tf
from tfrec_fusion.features.history_events import EVENT_FIELDS


def hidden_histories(batch: Mapping[str, tf.Tensor], rate: float, seed) -> dict[str, tf.Tensor]:
    """Returns a batch in which each user has no history with probability `rate`.

    Targets and masked candidates stay. Source: DropoutNet (Volkovs et al., NeurIPS 2017), which
    hides what a cold user lacks.

    Args:
      batch: examples of `Interactions.batches`, or pairs.
      rate: in [0, 1).
      seed: `[2]` int64 of the draw.
    """
    kept = tf.random.stateless_uniform(tf.shape(batch["user"]), seed) >= rate
    changed = dict(batch)
    if "history" in batch:
        changed["history"] = tf.where(kept[:, None], batch["history"], -1)
    if "history_row" in batch:
        here = tf.gather(kept, batch["history_row"])
        fields = ("history_item", "history_row", "history_age", "self_pairs", *EVENT_FIELDS)
        for name in fields:
            if name in batch:
                changed[name] = tf.boolean_mask(batch[name], here)
    return changed
