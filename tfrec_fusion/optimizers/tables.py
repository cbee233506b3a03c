"""The default optimizer of a model with ID tables."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion.optimizers.composite import TABLE_NAMES, TableOptimizer
from tfrec_fusion.optimizers.lazy_adam import LazyAdam
from tfrec_fusion.optimizers.row_wise_adagrad import RowWiseAdagrad


def for_tables(
    learning_rate=0.05,
    dense_learning_rate=1e-3,
    *,
    weight_decay: float | None = None,
    dense_weight_decay: float | None = 0.004,
    names: Sequence[str] = TABLE_NAMES,
    clipnorm: float | None = None,
    clipvalue: float | None = None,
    global_clipnorm: float | None = None,
) -> TableOptimizer:
    """`RowWiseAdagrad` for embedding tables, AdamW for all other weights.

    A step costs as much as the rows of its batch, however large the tables are. AdamW is
    `LazyAdam` with weight decay, which is the same on dense gradients.

    Args:
      learning_rate: of the tables, a number or a `LearningRateSchedule`.
      dense_learning_rate: of the other weights, likewise.
      weight_decay: of the tables' rows that occur in a batch.
      dense_weight_decay: of the other weights.
      names: which weights are tables, by the last part of their names; see `TableOptimizer`.
      clipnorm, clipvalue, global_clipnorm: as in Keras, over all weights.

    Raises:
      InputError: an argument is out of its range.

    Example:
      >>> model.compile(for_tables(learning_rate=0.05))
    """
    return TableOptimizer(
        RowWiseAdagrad(learning_rate, weight_decay=weight_decay),
        LazyAdam(dense_learning_rate, weight_decay=dense_weight_decay),
        names,
        clipnorm=clipnorm,
        clipvalue=clipvalue,
        global_clipnorm=global_clipnorm,
    )
