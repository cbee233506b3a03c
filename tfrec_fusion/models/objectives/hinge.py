"""Pairwise hinge loss."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.objectives.pairwise import PairwiseObjective


@keras.utils.register_keras_serializable("tfrec_fusion")
class PairwiseHinge(PairwiseObjective):
    """Pairwise hinge: the mean of `max(0, margin + s_j - s+)` over negatives j.

    A negative that is further behind than the margin has no gradient. Source: the margin of
    Weston et al., "WSABIE" (IJCAI 2011), without its weights by rank.

    Args:
      margin: how far a target must be ahead.

    Raises:
      InputError: the margin is not positive.

    Example:
      >>> PairwiseHinge()(tf.constant([[1, 0, 0]]), tf.constant([[2.0, 1.5, 0.0]])).numpy()
      np.float32(0.25)
    """

    def __init__(self, margin: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        if margin <= 0:
            raise InputError(f"PairwiseHinge: margin must be positive. Received: {margin!r}")
        self.margin = margin

    def pair_loss(self, behind):
        return tf.nn.relu(self.margin + behind)

    def get_config(self):
        return super().get_config() | {"margin": self.margin}
