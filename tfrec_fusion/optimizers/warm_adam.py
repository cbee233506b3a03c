"""The default optimizer of the retrieval models."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.optimizers.warmup_cosine import WarmupCosine


def adam(
    learning_rate: float = 3e-3, *, steps: int, warmup_steps: int = 50
) -> keras.optimizers.Optimizer:
    """Builds Adam with `WarmupCosine`: linear warm-up, then a cosine decay to 5 % of the peak.

    Args:
      learning_rate: the peak learning rate.
      steps: optimizer steps of the whole training, epochs times batches.
      warmup_steps: warm-up steps, limited to a tenth of `steps`.

    Example:
      >>> model.compile(adam(3e-3, steps=2 * len(batches)))
    """
    warmup_steps = min(warmup_steps, steps // 10)
    schedule = WarmupCosine(learning_rate, total_steps=steps, warmup_steps=warmup_steps)
    return keras.optimizers.Adam(schedule)
