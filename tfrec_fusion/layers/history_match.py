"""Similarity features of an item to a user's history."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf


@keras.utils.register_keras_serializable("tfrec_fusion")
class HistoryMatch(keras.layers.Layer):
    """Computes similarities of an item to a user's history, as features of a ranker.

    With c_j the cosine of the item and history item j, a softmax over j of `tau c_j` (one trained
    tau per layer), and weights `exp(-age_j / decay_days)`, the features are

        max_j c_j,  sum_j softmax_j c_j,  mean_j c_j,  weighted mean_j c_j,
        weighted sum_j max(c_j, 0)^2 under log(1 + .)

    so that one close item still matters among many distant ones. The second is the target attention
    of DIN (Zhou et al., KDD 2018) with the similarity itself as value.

    Args:
      decay_days: time constant of the weights in days.

    Input: `items` `[B, N, d]` and `history` `[B, L, d]` float, `mask` `[B, L]` bool, `ages`
      `[B, L]` float32 days.
    Output: `[B, N, 5]` float32; zeros for an empty history or a zero vector.

    Raises:
      ValueError: `decay_days` is not positive.
    """

    def __init__(self, decay_days: float = 30.0, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if decay_days <= 0:
            raise ValueError(f"decay_days must be positive. Received: {decay_days}")
        self.decay_days = decay_days

    def build(self, input_shape):
        self.tau = self.add_weight(
            "tau",
            (),
            dtype=tf.float32,
            initializer=keras.initializers.Constant(8.0),
            experimental_autocast=False,
        )
        super().build(input_shape)

    def call(self, items, history, mask, ages):
        items, history = tf.cast(items, tf.float32), tf.cast(history, tf.float32)
        ages = tf.cast(ages, tf.float32)
        # Dividing the products costs less than normalising every vector of every history.
        cosine = tf.matmul(items, history, transpose_b=True)
        # LiteRT does not support [:, None, :].
        cosine *= tf.expand_dims(_inverse_norm(items), 2)
        cosine *= tf.expand_dims(_inverse_norm(history), 1)
        mask = tf.expand_dims(mask, 1)
        present = tf.cast(mask, tf.float32)
        count = tf.reduce_sum(present, -1)
        weight = present * tf.expand_dims(tf.exp(-tf.maximum(ages, 0.0) / self.decay_days), 1)
        attention = tf.nn.softmax(tf.where(mask, self.tau * cosine, -1e9), -1) * present
        cosine = tf.where(mask, cosine, 0.0)
        best = tf.reduce_max(tf.where(mask, cosine, -1.0), -1)
        return tf.stack(
            [
                tf.where(count > 0, best, 0.0),
                tf.reduce_sum(attention * cosine, -1),
                tf.math.divide_no_nan(tf.reduce_sum(cosine, -1), count),
                tf.math.divide_no_nan(
                    tf.reduce_sum(weight * cosine, -1), tf.reduce_sum(weight, -1)
                ),
                tf.math.log1p(tf.reduce_sum(weight * tf.nn.relu(cosine) ** 2, -1)),
            ],
            -1,
        )

    def get_config(self):
        return super().get_config() | {"decay_days": self.decay_days}


def _inverse_norm(vectors: tf.Tensor) -> tf.Tensor:
    return tf.math.rsqrt(tf.maximum(tf.reduce_sum(vectors**2, -1), 1e-12))
