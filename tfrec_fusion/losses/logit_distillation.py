"""Distillation of a teacher's probabilities of single examples."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf


@keras.utils.register_keras_serializable("tfrec_fusion")
class LogitDistillation(keras.losses.Loss):
    """Cross entropy of a student's probabilities against a teacher's, each of a yes or no.

    With t the logits of the teacher and s those of the student,

        T^2 mean(p softplus(-s / T) + (1 - p) softplus(s / T)),  p = sigmoid(t / T)

    It is smallest where s = t, at the entropy of p. T^2 keeps the scale of the gradients (Hinton et
    al., "Distilling the Knowledge in a Neural Network", 2015). The teacher gets no gradient. For
    the softmax of a list see `Distillation`.

    Args:
      temperature: T.

    Input: logits of the teacher and of the student, of one shape; weights broadcast to it, or None.
    Output: scalar float32.

    Raises:
      ValueError: the temperature is not positive.

    Example:
      >>> LogitDistillation()(tf.zeros([1, 2]), tf.zeros([1, 2])).numpy().round(4)  # log 2
      np.float32(0.6931)
    """

    def __init__(self, temperature: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        if not temperature > 0:
            raise ValueError(f"temperature must be positive. Received: {temperature}")
        self.temperature = temperature

    def call(self, y_true, y_pred):
        teacher = tf.stop_gradient(tf.cast(y_true, tf.float32)) / self.temperature
        student = tf.cast(y_pred, tf.float32) / self.temperature
        each = tf.nn.sigmoid_cross_entropy_with_logits(tf.sigmoid(teacher), student)
        return self.temperature**2 * each

    def get_config(self):
        return super().get_config() | {"temperature": self.temperature}
