"""Base class of the optimizers for embedding tables."""

from __future__ import annotations

import math
from typing import Any

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError

_SHARED = tf.distribute.ParameterServerStrategy | tf.distribute.experimental.ParameterServerStrategy


class SparseOptimizer(keras.optimizers.Optimizer):
    """Base of Keras optimizers whose step costs only the rows that it touches.

    The gradient of a lookup (`tf.IndexedSlices`) may contain a row several times. This class sums
    such gradients first, so that clipping by norm sees the true gradient (Keras computes the norm
    before summing), and decays only the rows of the gradient (Keras decays the whole table). It
    reads and writes no other rows. A dense gradient touches every row and uses the same formulas.

    A layer's `constraint` on a table is applied by Keras and updates the whole table.

    Args:
      name: name of the optimizer.
      learning_rate: a number or a `LearningRateSchedule`; None if the optimizer has none itself.
      weight_decay: decoupled: `w -= learning_rate * weight_decay * w` on the touched rows; None or
        0 for none.
      **kwargs: `clipnorm`, `clipvalue`, `global_clipnorm` of `keras.optimizers.Optimizer`.
        `jit_compile` defaults to False, because XLA recompiles for every number of rows.

    Raises:
      InputError: an argument is out of range, or `use_ema=True`, which would update the averages of
        all rows in every step.
    """

    def __init__(self, name, learning_rate=None, weight_decay=None, jit_compile=False, **kwargs):
        if kwargs.get("use_ema"):
            raise InputError(
                f"{name}: use_ema is not supported: it updates whole tables in every step; leave "
                f"it out, or average checkpoints. Received: use_ema={kwargs['use_ema']!r}"
            )
        if weight_decay is not None:
            check_number(name, "weight_decay", weight_decay, 0)
        super().__init__(name=name, weight_decay=weight_decay, jit_compile=jit_compile, **kwargs)
        if learning_rate is not None:
            if isinstance(learning_rate, int | float):
                check_number(name, "learning_rate", learning_rate, 0)
            self._learning_rate = self._build_learning_rate(learning_rate)

    def get_config(self):
        config = super().get_config()
        for key in ("use_ema", "ema_momentum", "ema_overwrite_frequency"):
            del config[key]
        rate: Any = getattr(self, "_learning_rate", None)
        if isinstance(rate, tf.Variable):
            config["learning_rate"] = float(rate.numpy())
        elif rate is not None:
            config["learning_rate"] = self._serialize_hyperparameter(rate)
        return config

    def _subtract(self, variable, change, rows, learning_rate) -> None:
        """Subtracts `change` and weight decay from the distinct `rows`, or from all if None."""
        if self.weight_decay and self._use_weight_decay(variable):
            decay = learning_rate * tf.cast(self.weight_decay, variable.dtype)
            change += decay * read(variable, rows)
        add(variable, -change, rows)

    def _clip_gradients(self, grads):
        return super()._clip_gradients(super()._deduplicate_sparse_grad(grads))

    def _deduplicate_sparse_grad(self, grads):
        return grads  # Done before clipping.

    def _apply_weight_decay(self, variables):
        """Does nothing: `update_step` decays the rows that it touches."""


def split(gradient):
    """Returns values and row numbers of a gradient; a dense gradient has None as row numbers."""
    if isinstance(gradient, tf.IndexedSlices):
        return gradient.values, gradient.indices
    return gradient, None


def read(variable, rows):
    """Reads rows of a variable, or all of it if `rows` is None.

    It gathers, because after a scatter a dense read copies the whole variable.
    """
    return tf.convert_to_tensor(variable) if rows is None else tf.gather(variable, rows)


def add(variable, delta, rows) -> None:
    """Adds `delta` to distinct rows of a variable, or to all of it if `rows` is None."""
    if rows is None:
        variable.assign_add(delta)
    elif isinstance(tf.distribute.get_strategy(), _SHARED):
        # Other workers may update the same rows meanwhile.
        variable.scatter_add(tf.IndexedSlices(delta, rows))
    else:
        # On CPU three times as fast as adding in place.
        variable.scatter_update(tf.IndexedSlices(tf.gather(variable, rows) + delta, rows))


def check_number(owner: str, field: str, value, low: float, below: float = math.inf) -> None:
    """Raises InputError if a number is not in [low, below)."""
    if not low <= value < below:
        end = f"and below {below:g}" if below < math.inf else "and finite"
        raise InputError(f"{owner}: {field} must be at least {low:g} {end}. Received: {value!r}")
