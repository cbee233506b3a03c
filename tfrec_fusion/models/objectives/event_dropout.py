"""Hides the features of past events in training, so that a model learns to score without them."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import tf
from tfrec_fusion.features.history_events import EVENT_FIELDS, unknown_event
from tfrec_fusion.features.side import Side


def hidden_events(
    batch: Mapping[str, tf.Tensor], side: Side, rate: float, seed
) -> dict[str, tf.Tensor]:
    """Returns a batch in which of each row's past events nothing is known with probability `rate`.

    As in a request whose history is a list of items.

    Args:
      batch: examples with the encoded features of events, flat or padded.
      side: the features of events.
      rate: in [0, 1).
      seed: `[2]` int64 of the draw.
    """
    hidden = tf.random.stateless_uniform(tf.shape(batch["user"]), seed) < rate
    flat = "history_row" in batch
    hidden = tf.gather(hidden, batch["history_row"]) if flat else hidden[:, None]
    nothing = zip(EVENT_FIELDS, unknown_event(side), strict=True)
    changed = {n: tf.where(hidden[..., None], value, batch[n]) for n, value in nothing}
    return {**batch, **changed}
