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
    """A Keras optimizer that hands each weight to one of two others, by the weight's name.

    A weight is a table where the last part of its name matches one of `names`. The defaults are
    what `IdEmbedding`, `keras.layers.Embedding` and `TwoTower`'s item bias call theirs. The name
    decides, and not the gradient, because the state is made before the first gradient and a table
    can have a dense gradient too. A lookup into a weight that no name matches is not swept either:
    the default `dense` optimizer leaves absent rows alone.

    Clipping is done here over the summed gradients of all weights, weight decay by the two. Both
    count their steps in `iterations` of this one. `learning_rate` is that of the tables, and
    callbacks that set it leave `dense.learning_rate` as it is; give both a schedule instead.

    Args:
      tables: optimizer of the tables, or its name or config (see `resolve`); `RowWiseAdagrad()`.
      dense: optimizer of all other weights; `LazyAdam(weight_decay=0.004)`, which on dense
        gradients is AdamW.
      names: patterns (`fnmatch`) of the last part of a table's name.
      clipnorm, clipvalue, global_clipnorm: as in Keras.
      name: of the optimizer.
      **kwargs: of `keras.optimizers.Optimizer`; `use_ema` is refused.

    Raises:
      InputError: `names` is empty, or one of the two is a legacy Keras optimizer, in use already,
        or has a clipping or an EMA of its own.

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
        """Whether the variable's name makes it a table."""
        # "tower/ids/table:0", and "tower/ids/table/part_3:0" for a shard of a partitioned one.
        path = re.sub(r"(/part_\d+)?(:\d+)?$", "", variable.name)
        last = path.rpartition("/")[2]
        return any(fnmatchcase(last, pattern) for pattern in self.names)

    def build(self, var_list):
        """Makes the state of both optimizers."""
        if getattr(self, "_built", False):
            return
        super().build(var_list)
        self._built = True
        self._in_tables = [self.is_table(variable) for variable in var_list]
        for part, own in ((self.tables, True), (self.dense, False)):
            part.build(
                [v for v, table in zip(var_list, self._in_tables, strict=True) if table is own]
            )
            # The first is the part's own count of steps, which is not used.
            self._variables.extend(part.variables[1:])

    def update_step(self, gradient, variable):
        """Updates one variable by its optimizer."""
        self._owner(variable).update_step(gradient, variable)

    @property
    def learning_rate(self):
        """The current learning rate of the tables."""
        return self.tables.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.tables.learning_rate = value

    def save_own_variables(self, store):
        """Saves the count of steps; Keras saves `tables` and `dense` as parts of this one."""
        store["0"] = self.iterations.numpy()

    def load_own_variables(self, store):
        """Loads what `save_own_variables` has saved."""
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
                f"{self.name}: {field} must be one of Keras's current optimizers, not of the "
                f"legacy ones. Received: {type(optimizer).__name__}"
            )
        if getattr(optimizer, "_built", False):
            raise InputError(
                f"{self.name}: {field} is already in use; give a new one. Received: {optimizer!r}"
            )
        own = ("clipnorm", "clipvalue", "global_clipnorm", "use_ema")
        refused = [key for key in own if getattr(optimizer, key)]
        if refused:
            raise InputError(
                f"{self.name}: clipping belongs in the arguments of {self.name} itself, and no EMA "
                f"is kept; leave them out of {field}. Received: {refused}"
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
    """What `resolve` makes the optimizer of again."""
    # While a model is saved Keras adds a number of its own.
    config = keras.optimizers.serialize(optimizer, use_legacy_format=True)
    return {key: config[key] for key in ("class_name", "config")}
