"""Base class of the losses over scored candidates."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.layers.outputs import checked_output
from tfrec_fusion.models.objectives.row_blocks import losses_in_blocks
from tfrec_fusion.models.objectives.targets import Targets

_MEANS = ("auto", "sum_over_batch_size")


class Objective(keras.losses.Loss):
    """A loss over candidate scores `[B, C]`, for `TwoTower`, `AlphaRec` and `Ranker`.

    Pass it as `compile(loss=...)`. A subclass implements `call(targets, scores) -> [B]`, the loss
    of each row; the loss is the mean over rows of `weight_b * loss_b`. Add the constructor's
    arguments to `get_config`, and register the class in Keras to load it with a saved model.

    Attributes:
      compares: whether it compares the items of a row with each other, so that it learns nothing
        from rows of one item.
      blocked: whether to compute some rows at a time, which saves memory; then the loss of a row
        must not depend on other rows, nor on variables.
      pairwise: whether a `blocked` loss holds a value of each target and candidate of its rows.

    Input: `targets`, a `Targets` or labels `[B, C]`; `scores` `[B, C]` float; `weight` `[B]` float
      or None.
    Output: scalar float32.

    Raises:
      InputError: a `reduction` other than the mean.

    Example:
      >>> class Hinge(Objective):
      ...     def call(self, targets, scores):
      ...         best = tf.reduce_max(targets.negatives(scores), 1)
      ...         own = tf.gather_nd(targets.logits(scores), targets.target)
      ...         behind = tf.gather(best, targets.target[:, 0]) - own
      ...         return targets.row_means(tf.nn.relu(1 + behind), scores)
      >>> Hinge()(tf.constant([[0, 1, 0]]), tf.constant([[2.0, 1.5, 0.0]])).numpy()
      np.float32(1.5)
    """

    compares = False
    blocked = False
    pairwise = False

    def __init__(self, reduction: str = "auto", name: str | None = None):
        if reduction not in _MEANS:
            raise InputError(
                f"{type(self).__name__}: reduction: must be a mean over rows, one of "
                f"{', '.join(_MEANS)}. Received: {reduction!r}"
            )
        super().__init__(reduction, name)

    def __call__(self, y_true, y_pred, sample_weight=None):
        targets = y_true if isinstance(y_true, Targets) else Targets.of_labels(y_true)
        if self.blocked:
            rows = losses_in_blocks(self._rows, targets, y_pred, pairwise=self.pairwise)
            return _mean(rows, sample_weight)
        return _mean(self._rows(targets, y_pred), sample_weight)

    def call(self, y_true: Targets, y_pred: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each row, `[B]`, from the scores `y_pred` `[B, C]`."""
        raise NotImplementedError

    def of_vectors(
        self,
        targets: Targets,
        users: tf.Tensor,
        items: tf.Tensor,
        weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Computes the loss of pairs from vectors of users `[B, D]` and items `[C, D]`.

        A `blocked` loss never stores all scores `[B, C]`; else override it for that.
        """
        return self.of_candidates(targets, users, items, weight)

    def of_candidates(
        self,
        targets: Targets,
        users: tf.Tensor,
        items: tf.Tensor,
        weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Computes the loss of positions of sequences, from vectors of users and candidates.

        As `of_vectors`, but the candidates are distinct items, each of which counts once.
        """
        if self.blocked:
            rows = losses_in_blocks(self._rows, targets, users, items, pairwise=self.pairwise)
            return _mean(rows, weight)
        return self(targets, tf.matmul(users, items, transpose_b=True), weight)

    def _rows(self, targets: Targets, scores: tf.Tensor) -> tf.Tensor:
        name = f"loss: {type(self).__name__}.call"
        rows = checked_output(name, self.call(targets, scores), "[B]", rank=1)
        return tf.cast(rows, tf.float32)

    def check(self, model: str, batch) -> None:
        """Raises InputError if this loss does not support batches with these fields."""


def _mean(rows: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
    if weight is not None:
        rows *= tf.cast(tf.reshape(weight, [-1]), tf.float32)
    return tf.reduce_mean(rows)
