"""Bayesian personalised ranking."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.models.objectives.pairwise import PairwiseObjective


@keras.utils.register_keras_serializable("tfrec_fusion")
class BPR(PairwiseObjective):
    """Bayesian personalised ranking: the mean of `-log sigmoid(s+ - s_j)` over negatives j.

    A pair is a target s+ and a negative of its row; all of a row's candidates are negatives, where
    the source draws one. Source: Rendle et al., "BPR" (UAI 2009).

    Example:
      >>> BPR()(tf.constant([[1, 0]]), tf.math.log([[3.0, 1.0]])).numpy().round(4)  # log(4 / 3)
      np.float32(0.2877)
    """

    def pair_loss(self, behind):
        return tf.nn.softplus(behind)
