"""The default optimizer of a model with large id tables."""

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
    """Builds an optimizer: `RowWiseAdagrad` for embedding tables, AdamW for all other weights.

    The cost of a step depends on the rows of its batch, not on the size of the tables. AdamW is
    `LazyAdam` with weight decay, which is the same on dense gradients.

    Args:
      learning_rate: learning rate of the tables, a number or a `LearningRateSchedule`.
      dense_learning_rate: learning rate of the other weights, likewise.
      weight_decay: weight decay of the tables' rows in the batch.
      dense_weight_decay: weight decay of the other weights.
      names: patterns of the last part of a table's name; see `TableOptimizer`.
      clipnorm, clipvalue, global_clipnorm: as in Keras, over all weights.

    Raises:
      InputError: an argument is out of range.

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
