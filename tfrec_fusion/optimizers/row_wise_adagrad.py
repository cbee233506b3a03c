"""Adagrad with one accumulator per row."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.optimizers.sparse import SparseOptimizer, add, check_number, read, split


@keras.utils.register_keras_serializable("tfrec_fusion")
class RowWiseAdagrad(SparseOptimizer):
    """Adagrad with one accumulator per row instead of one per weight.

    For a row of `d` weights `w`, with `g` the sum of all its gradients in the batch:

        a <- a + mean(g^2)
        w <- w - learning_rate * (g / (sqrt(a) + epsilon) + weight_decay * w)

    It reads and writes only the rows of the batch. The state of a table `[n, d]` is `[n]`; for a
    vector, `d = 1`, this is plain Adagrad. With an initial accumulator of 0, a row's first step has
    the size `learning_rate` for any scale of the loss, and steps shrink as the row occurs more
    often. From DLRM (Naumov et al. 2019) and FBGEMM's EXACT_ROWWISE_ADAGRAD.

    Args:
      learning_rate: a number or a `LearningRateSchedule`.
      initial_accumulator_value: initial value of `a`, 0 or more.
      epsilon: term of the denominator, above 0.
      weight_decay: decoupled weight decay of the rows of the batch; None for none.
      clipnorm, clipvalue, global_clipnorm: as in Keras, on the summed gradients.
      name: name of the optimizer.
      **kwargs: further arguments of `keras.optimizers.Optimizer`, except `use_ema`.

    Raises:
      InputError: an argument is out of range.

    Example:
      >>> model.compile(RowWiseAdagrad(0.05))
    """

    def __init__(
        self,
        learning_rate=0.05,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-8,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "RowWiseAdagrad",
        **kwargs,
    ):
        check_number(name, "initial_accumulator_value", initial_accumulator_value, 0)
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
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def build(self, var_list):
        """Builds the accumulators, one number per row of each variable."""
        if getattr(self, "_built", False):
            return
        super().build(var_list)
        self._built = True
        self._accumulators = []
        for variable in var_list:
            start = tf.cast(self.initial_accumulator_value, variable.dtype)
            self._accumulators.append(
                self.add_variable_from_reference(
                    variable, "accumulator", initial_value=tf.fill(variable.shape[:1], start)
                )
            )

    def update_step(self, gradient, variable):
        """Updates the rows of the gradient, which must be distinct."""
        values, rows = split(gradient)
        rate = tf.cast(self.learning_rate, variable.dtype)
        accumulator = self._accumulators[self._index_dict[self._var_key(variable)]]
        others = list(range(1, variable.shape.rank))
        # Add first, then read, so that concurrent updates of other workers are not lost.
        add(accumulator, tf.reduce_mean(tf.square(values), others), rows)
        root = tf.sqrt(read(accumulator, rows)) + self.epsilon
        for axis in others:
            root = tf.expand_dims(root, axis)
        self._subtract(variable, rate / root * values, rows, rate)

    def get_config(self):
        return super().get_config() | {
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }
