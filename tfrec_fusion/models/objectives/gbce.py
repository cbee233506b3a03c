"""Generalised binary cross-entropy."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.objectives.bce import BCE
from tfrec_fusion.models.objectives.targets import Targets


@keras.utils.register_keras_serializable("tfrec_fusion")
class GBCE(BCE):
    """`BCE` whose targets weigh less, so that sampling negatives makes no model overconfident.

    The probability of a target becomes sigmoid(s+)^beta, which multiplies its term by

        beta = alpha (t (1 - 1 / alpha) + 1 / alpha) = 1 - t (1 - alpha)

    with alpha the share of all negatives that are among the candidates. t = 0 is `BCE`, and with
    t = 1 sampled negatives lead to the probabilities of all negatives. Of the whole catalogue
    alpha is 1, and nothing changes. Source: gSASRec (Petrov and Macdonald, RecSys 2023), t .75.

    Args:
      t: calibration, between 0 and 1.

    Raises:
      InputError: `t` is out of range.

    Example:
      >>> targets = Targets.of_labels(tf.constant([[1, 0, 0]]))._replace(n_items=5)
      >>> GBCE(t=1.0)(targets, tf.zeros([1, 3])).numpy().round(4)  # log 2 (1/2 + 2) / 3
      np.float32(0.5776)
    """

    def __init__(self, t: float = 0.75, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= t <= 1:
            raise InputError(f"GBCE: t must be between 0 and 1. Received: {t!r}")
        self.t = t

    def positive_weight(self, targets: Targets, n_negatives):
        if targets.n_items is None:
            return 1.0
        others = tf.cast(tf.maximum(targets.n_items - 1, 1), tf.float32)
        return 1 - self.t * (1 - tf.minimum(n_negatives / others, 1.0))

    def get_config(self):
        return super().get_config() | {"t": self.t}
