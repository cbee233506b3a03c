"""Distillation of one set of logits into another."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.losses.masking import MASKED


@keras.utils.register_keras_serializable("tfrec_fusion")
class Distillation(keras.layers.Layer):
    """Distils the logits of a teacher into those of a student by the KL divergence.

    The loss is `T^2 mean_b KL(softmax(teacher_b / T) || softmax(student_b / T))`.
    The teacher gets no gradient. Both sides are masked and have `log_q` subtracted, as in
    `MultiTargetSoftmax`. T^2 keeps the scale of the gradients (Hinton et al., 2015).

    Args:
      temperature: T.

    Input: `student` and `teacher` logits `[B, C]` float; `masked` `[M, 2]` int32 pairs (row,
      candidate) or None; `log_q` `[C]` float32 or None.
    Output: scalar float32.

    Raises:
      ValueError: the temperature is not positive.

    Example:
      >>> Distillation()(tf.zeros([1, 2]), tf.constant([[50.0, 0.0]])).numpy().round(4)  # log 2
      np.float32(0.6931)
    """

    def __init__(self, temperature: float = 1.0, **kwargs):
        super().__init__(**({"dtype": "float32"} | kwargs))
        if temperature <= 0:
            raise ValueError(f"temperature must be positive. Received: {temperature}")
        self.temperature = temperature

    def call(self, student, teacher, masked=None, log_q=None):
        student = self._log_softmax(student, masked, log_q)
        teacher = tf.stop_gradient(self._log_softmax(teacher, masked, log_q))
        each = tf.reduce_sum(tf.exp(teacher) * (teacher - student), 1)
        return self.temperature**2 * tf.reduce_mean(each)

    def _log_softmax(self, logits, masked, log_q):
        logits = tf.cast(logits, tf.float32)
        if log_q is not None:
            logits -= log_q
        if masked is not None:
            off = tf.fill(tf.shape(masked)[:1], tf.constant(MASKED))
            logits = tf.tensor_scatter_nd_update(logits, masked, off)
        return tf.nn.log_softmax(logits / self.temperature)

    def get_config(self):
        return super().get_config() | {"temperature": self.temperature}
