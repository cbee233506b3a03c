"""The default optimizer of the retrieval models."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.optimizers.warmup_cosine import WarmupCosine


def adam(
    learning_rate: float = 3e-3, *, steps: int, warmup_steps: int = 50
) -> keras.optimizers.Optimizer:
    """Adam under `WarmupCosine`: up over the warm-up, then along a cosine to 5 %.

    Args:
      learning_rate: the peak.
      steps: optimizer steps of the whole training, epochs times batches.
      warmup_steps: at most a tenth of `steps` are used.

    Example:
      >>> model.compile(adam(3e-3, steps=2 * len(batches)))
    """
    warmup_steps = min(warmup_steps, steps // 10)
    schedule = WarmupCosine(learning_rate, total_steps=steps, warmup_steps=warmup_steps)
    return keras.optimizers.Adam(schedule)
