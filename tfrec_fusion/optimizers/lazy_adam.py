"""Adam that updates only the rows of the batch."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.optimizers.sparse import SparseOptimizer, add, check_number, read, split


@keras.utils.register_keras_serializable("tfrec_fusion")
class LazyAdam(SparseOptimizer):
    """Applies Adam's formulas only to the rows of the batch. **The results differ from Adam's.**

    For each row of the batch in step `t`, with `g` the sum of all its gradients in the batch:

        m <- m + (1 - beta_1) (g - m)
        v <- v + (1 - beta_2) (g^2 - v)
        w <- w - learning_rate * (c m / (sqrt(v) + epsilon) + weight_decay * w)
        c  = sqrt(1 - beta_2^t) / (1 - beta_1^t)

    Adam keeps moving every row by its old momentum, and decays `m` and `v` of absent rows. Here
    absent rows do not change, so rare rows remember old gradients for longer. `t` counts the steps
    of the optimizer, not those of a row: a row that first occurs late takes a first step of up to
    (1 - beta_1) / sqrt(1 - beta_2) learning rates, 3.2 by default. With dense gradients every row
    is in the batch, and this is Adam, or AdamW with `weight_decay`.

    The state is twice the size of the table; `RowWiseAdagrad` needs one number per row.
    The same idea as `tf.contrib.opt.LazyAdamOptimizer` and PyTorch's SparseAdam.

    Args:
      learning_rate: a number or a `LearningRateSchedule`.
      beta_1, beta_2: from 0 to below 1.
      epsilon: term of the denominator, above 0; "epsilon hat" of Kingma and Ba, as in Keras.
      weight_decay: decoupled weight decay of the rows of the batch; None for none.
      clipnorm, clipvalue, global_clipnorm: as in Keras, on the summed gradients.
      name: name of the optimizer.
      **kwargs: further arguments of `keras.optimizers.Optimizer`, except `use_ema`.

    Raises:
      InputError: an argument is out of range.

    Example:
      >>> model.compile(LazyAdam(3e-3))
    """

    def __init__(
        self,
        learning_rate=1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "LazyAdam",
        **kwargs,
    ):
        check_number(name, "beta_1", beta_1, 0, below=1)
        check_number(name, "beta_2", beta_2, 0, below=1)
        check_number(name, "epsilon", epsilon, 1e-30)
        super().__init__(
            name,
            learning_rate,
            weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            **kwargs,
        )
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, var_list):
        """Builds the two moments of each variable, in its shape."""
        if getattr(self, "_built", False):
            return
        super().build(var_list)
        self._built = True
        self._momentums = [self.add_variable_from_reference(v, "m") for v in var_list]
        self._velocities = [self.add_variable_from_reference(v, "v") for v in var_list]

    def update_step(self, gradient, variable):
        """Updates the rows of the gradient, which must be distinct."""
        values, rows = split(gradient)
        dtype = variable.dtype
        rate = tf.cast(self.learning_rate, dtype)
        step = tf.cast(self.iterations + 1, dtype)
        index = self._index_dict[self._var_key(variable)]
        first = _toward(self._momentums[index], values, 1 - self.beta_1, rows)
        second = _toward(self._velocities[index], tf.square(values), 1 - self.beta_2, rows)
        correction = tf.sqrt(1 - tf.cast(self.beta_2, dtype) ** step)
        correction /= 1 - tf.cast(self.beta_1, dtype) ** step
        change = rate * correction * first / (tf.sqrt(second) + self.epsilon)
        self._subtract(variable, change, rows, rate)

    def get_config(self):
        return super().get_config() | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


def _toward(average, values, share: float, rows):
    """Moves the rows of a moving average toward `values`, and returns them."""
    old = read(average, rows)
    delta = share * (values - old)
    add(average, delta, rows)
    return old + delta
