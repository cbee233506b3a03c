"""Losses against the negatives that the model itself ranks highest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.targets import Targets


@keras.utils.register_keras_serializable("tfrec_fusion")
class HardNegatives(Objective):
    """Applies another objective to each target and the row's hardest negatives alone.

    The negatives of a row are ranked by their scores, less log q. The first `skip` of them are left
    out, as the best ones are often items that the user would take too, and the next `k` are kept.
    The loss of a row is the mean over its targets of the objective's loss of one target and these.
    Source: Huang et al., "Embedding-based Retrieval in Facebook Search" (KDD 2020), who found ranks
    from 101 on better than the first ones.

    Args:
      objective: an `Objective`, or a name of `OBJECTIVES`.
      k: number of negatives.
      skip: number of negatives that are left out before them.

    Raises:
      InputError: `k` or `skip` is out of range, or another kind of objective.

    Example:
      >>> loss = HardNegatives("hinge", k=1, skip=1)
      >>> loss(tf.constant([[1, 0, 0, 0]]), tf.constant([[2.0, 9.0, 1.5, 0.0]])).numpy()
      np.float32(0.5)
    """

    blocked = True

    def __init__(
        self,
        objective: Objective | str | Mapping[str, Any] = "softmax",
        k: int = 100,
        skip: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, least in (("k", k, 1), ("skip", skip, 0)):
            if value < least:
                raise InputError(
                    f"HardNegatives: {name} must be at least {least}. Received: {value!r}"
                )
        if isinstance(objective, Mapping):
            objective = keras.saving.deserialize_keras_object(objective)
        if isinstance(objective, str):
            from tfrec_fusion.models.objectives.catalogue import OBJECTIVES

            objective = OBJECTIVES.resolve(objective)()
        if not isinstance(objective, Objective):
            raise InputError(
                "HardNegatives: objective must be an Objective or a name of OBJECTIVES. "
                f"Received: {objective!r}"
            )
        self.objective, self.k, self.skip = objective, k, skip

    def call(self, y_true: Targets, y_pred):
        rows = y_true.target[:, 0]
        negatives = y_true.negatives(y_pred)
        n_candidates = tf.shape(negatives)[1]
        kept = tf.minimum(self.k + self.skip, n_candidates)
        hardest = tf.math.top_k(negatives, kept, sorted=True).values[:, self.skip :]
        count = tf.gather(y_true.n_negatives(y_pred), rows)
        own = tf.gather_nd(y_true.logits(y_pred), y_true.target)
        logits = tf.concat([own[:, None], tf.gather(hardest, rows)], 1)
        # Beyond a row's negatives there are masked candidates.
        place = tf.range(tf.shape(logits)[1]) - 1 + self.skip
        masked = (tf.cast(place, tf.float32) >= count[:, None]) & (place >= self.skip)
        each = tf.range(tf.size(rows))
        of_targets = Targets(
            tf.stack([each, tf.zeros_like(each)], 1),
            tf.cast(tf.where(masked), tf.int32),
            label=y_true.label,
        )
        return y_true.row_means(self.objective.call(of_targets, logits), y_pred)

    def check(self, model, batch):
        self.objective.check(model, batch)

    def get_config(self):
        return super().get_config() | {
            "objective": keras.saving.serialize_keras_object(self.objective),
            "k": self.k,
            "skip": self.skip,
        }
