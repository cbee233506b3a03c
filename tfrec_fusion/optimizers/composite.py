"""One optimizer for embedding tables and another for all other weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from tfrec_fusion._compat import keras
from tfrec_fusion.errors import InputError
from tfrec_fusion.optimizers.by_name import resolve
from tfrec_fusion.optimizers.lazy_adam import LazyAdam
from tfrec_fusion.optimizers.row_wise_adagrad import RowWiseAdagrad
from tfrec_fusion.optimizers.sparse import SparseOptimizer

TABLE_NAMES = ("table", "embeddings", "item_bias")


@keras.utils.register_keras_serializable("tfrec_fusion")
class TableOptimizer(SparseOptimizer):
    """Applies one optimizer to embedding tables and another to all other weights.

    A weight is a table if the last part of its name matches one of `names`. The defaults match the
    tables of `IdEmbedding`, `keras.layers.Embedding` and `TwoTower`'s item bias. The name decides,
    not the gradient, because the state is built before the first gradient, and a table can have a
    dense gradient too. A weight with sparse gradients that no name matches is efficient as well:
    the default `dense` optimizer updates only the rows of the batch.

    This optimizer clips the summed gradients of all weights; the two parts apply weight decay and
    count their steps in its `iterations`. `learning_rate` is that of the tables. Callbacks that set
    it do not change `dense.learning_rate`; give both a schedule instead.

    Args:
      tables: optimizer of the tables, or its name or config (see `resolve`); by default
        `RowWiseAdagrad()`.
      dense: optimizer of all other weights; by default `LazyAdam(weight_decay=0.004)`, which on
        dense gradients is AdamW.
      names: patterns (`fnmatch`) of the last part of a table's name.
      clipnorm, clipvalue, global_clipnorm: as in Keras.
      name: name of the optimizer.
      **kwargs: further arguments of `keras.optimizers.Optimizer`, except `use_ema`.

    Raises:
      InputError: `names` is empty, or one of the two is a legacy Keras optimizer, already in use,
        or has its own clipping or EMA.

    Example:
      >>> model.compile(TableOptimizer(LazyAdam(3e-3), keras.optimizers.AdamW(1e-3)))
    """

    def __init__(
        self,
        tables=None,
        dense=None,
        names: Sequence[str] = TABLE_NAMES,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "TableOptimizer",
        **kwargs,
    ):
        super().__init__(
            name,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            **kwargs,
        )
        if isinstance(names, str) or not names:
            raise InputError(f"{name}: names must be a list of patterns. Received: {names!r}")
        self.names = tuple(names)
        self.tables = self._part("tables", RowWiseAdagrad() if tables is None else tables)
        self.dense = self._part("dense", LazyAdam(weight_decay=0.004) if dense is None else dense)

    def is_table(self, variable) -> bool:
        """Whether the variable is a table, by its name."""
        # "tower/ids/table:0", and "tower/ids/table/part_3:0" for a shard of a partitioned one.
        path = re.sub(r"(/part_\d+)?(:\d+)?$", "", variable.name)
        last = path.rpartition("/")[2]
        return any(fnmatchcase(last, pattern) for pattern in self.names)

    def build(self, var_list):
        """Builds the state of both optimizers."""
        if getattr(self, "_built", False):
            return
        super().build(var_list)
        self._built = True
        self._in_tables = [self.is_table(variable) for variable in var_list]
        for part, own in ((self.tables, True), (self.dense, False)):
            part.build(
                [v for v, table in zip(var_list, self._in_tables, strict=True) if table is own]
            )
            # The first variable is the part's own step counter, which is unused.
            self._variables.extend(part.variables[1:])

    def update_step(self, gradient, variable):
        """Updates one variable with its optimizer."""
        self._owner(variable).update_step(gradient, variable)

    @property
    def learning_rate(self):
        """The current learning rate of the tables."""
        return self.tables.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.tables.learning_rate = value

    def save_own_variables(self, store):
        """Saves the step counter; Keras itself saves the nested `tables` and `dense`."""
        store["0"] = self.iterations.numpy()

    def load_own_variables(self, store):
        """Loads the step counter."""
        self.iterations.assign(store["0"])

    def get_config(self):
        config = super().get_config()
        del config["weight_decay"]
        return config | {
            "tables": _described(self.tables),
            "dense": _described(self.dense),
            "names": list(self.names),
        }

    def _owner(self, variable):
        return (
            self.tables
            if self._in_tables[self._index_dict[self._var_key(variable)]]
            else self.dense
        )

    def _part(self, field: str, optimizer) -> Any:
        optimizer = resolve(optimizer)
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            raise InputError(
                f"{self.name}: {field} must be a current Keras optimizer, not a legacy one. "
                f"Received: {type(optimizer).__name__}"
            )
        if getattr(optimizer, "_built", False):
            raise InputError(
                f"{self.name}: {field} is already in use; pass a new one. Received: {optimizer!r}"
            )
        own = ("clipnorm", "clipvalue", "global_clipnorm", "use_ema")
        refused = [key for key in own if getattr(optimizer, key)]
        if refused:
            raise InputError(
                f"{self.name}: {field} must not clip or use an EMA; pass clipping to {self.name} "
                f"itself, which does not support EMA. Received: {refused}"
            )
        part: Any = optimizer
        part.iterations = self.iterations
        return part

    def _compute_current_learning_rate(self):
        for part in (self.tables, self.dense):
            part._compute_current_learning_rate()

    def _apply_weight_decay(self, variables):
        for part in (self.tables, self.dense):
            part._apply_weight_decay([v for v in variables if self._owner(v) is part])


def _described(optimizer) -> dict:
    """Returns the config from which `resolve` rebuilds the optimizer."""
    # While saving a model, Keras adds another key.
    config = keras.optimizers.serialize(optimizer, use_legacy_format=True)
    return {key: config[key] for key in ("class_name", "config")}
