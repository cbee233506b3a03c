"""Head for a number."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.models.heads.head import Head


@keras.utils.register_keras_serializable("tfrec_fusion")
class RegressionHead(Head):
    """Predicts a number; the loss is squared error or Huber's, the metric absolute error.

    Args:
      delta: error beyond which Huber's loss is linear; None for squared error. Huber's is half the
        squared error below.
      **options: see `Head`; sampled negatives are left out.

    Example:
      >>> RegressionHead(delta=1.0)(tf.ones([2, 3, 4])).shape
      TensorShape([2, 3])
    """

    def __init__(
        self,
        label=None,
        weight=1.0,
        negatives=None,
        loss=None,
        hidden=(),
        delta: float | None = None,
        **kwargs,
    ):
        super().__init__(label, weight, negatives, loss, hidden, **kwargs)
        number = isinstance(delta, int | float) and not isinstance(delta, bool)
        if delta is not None and not (number and delta > 0):
            raise ValueError(f"delta must be a number above 0 or None. Received: {delta!r}")
        self.delta = delta

    @property
    def likelihood(self):
        return 0.5 if self.delta is None else 1.0

    def default_loss(self):
        if self.delta is None:
            return keras.losses.MeanSquaredError()
        return keras.losses.Huber(self.delta)

    def default_metrics(self):
        return [keras.metrics.MeanAbsoluteError(name="mae")]

    def get_config(self):
        return super().get_config() | {"delta": self.delta}
