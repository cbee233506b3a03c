"""Learning-rate schedule with linear warm-up and cosine decay."""

import math

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError


@keras.utils.register_keras_serializable("tfrec_fusion")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Warms up linearly over the first steps, then decays by a cosine to a fraction of the peak.

    With peak `p`, warm-up steps `w`, total steps `n` and final fraction `f`, step `s = 0, 1, ...`
    has the rate

        p (s + 1) / w                                              for s < w
        p (f + (1 - f) (1 + cos(pi (s - w) / (n - w))) / 2)        for w <= s < n
        p f                                                        from n on

    The first step has a rate above 0, and step `w` has the peak. The cosine is that of Loshchilov
    and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", without restarts.

    Args:
      peak: the highest learning rate, above 0.
      total_steps: optimizer steps (batches) until the final rate, above `warmup_steps`.
      warmup_steps: steps of the linear rise, 0 for none.
      final_fraction: the final rate over the peak, from 0 to 1.
      name: a name for the operations.

    Returns:
      When called with a step (an integer scalar): `[] float32`.

    Raises:
      InputError: an argument is out of range.

    Example:
      >>> schedule = WarmupCosine(3e-3, total_steps=1000, warmup_steps=50)
      >>> optimizer = keras.optimizers.Adam(schedule)
    """

    def __init__(
        self,
        peak: float,
        total_steps: int,
        warmup_steps: int = 0,
        final_fraction: float = 0.05,
        name: str = "WarmupCosine",
    ):
        if not 0 < peak < math.inf:
            raise InputError(f"peak must be a finite number above 0. Received: {peak!r}")
        if warmup_steps < 0:
            raise InputError(f"warmup_steps must be 0 or more. Received: {warmup_steps!r}")
        if total_steps <= warmup_steps:
            raise InputError(
                f"total_steps must be above warmup_steps ({warmup_steps!r}). "
                f"Received: {total_steps!r}"
            )
        if not 0 <= final_fraction <= 1:
            raise InputError(f"final_fraction must be from 0 to 1. Received: {final_fraction!r}")
        super().__init__()
        self.peak = float(peak)
        self.total_steps = int(total_steps)
        self.warmup_steps = int(warmup_steps)
        self.final_fraction = float(final_fraction)
        self.name = name

    def __call__(self, step):
        """Returns the learning rate of a step, `[] float32`."""
        with tf.name_scope(self.name):
            step = tf.cast(step, tf.float32)
            warm = (step + 1.0) / max(self.warmup_steps, 1)
            done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
            cosine = 0.5 * (1.0 + tf.cos(math.pi * tf.clip_by_value(done, 0.0, 1.0)))
            fall = self.final_fraction + (1.0 - self.final_fraction) * cosine
            return self.peak * tf.where(step < self.warmup_steps, warm, fall)

    def get_config(self):
        """The arguments of the constructor."""
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "final_fraction": self.final_fraction,
            "name": self.name,
        }
