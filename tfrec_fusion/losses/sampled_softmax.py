"""Softmax loss with sampled negatives shared by the batch."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.losses.blocked import blocked_softmax, check_options


@keras.utils.register_keras_serializable("tfrec_fusion")
class SampledSoftmax(keras.layers.Layer):
    """Sampled softmax cross-entropy: `mean_b weight_b (log(exp p_b + sum_j exp s_bj) - p_b)`.

    All rows share the negatives j. `s_bj = users_b . negatives_j - log q_j` and
    `p_b = users_b . positives_b - log q_b`, where q is the expected number of times that the
    sampler draws the item (Bengio and Senecal 2008); uniform sampling does not need it. A negative
    equal to the row's positive is masked.

    The logits `[B, S]` are never stored as a whole; see `blocked_softmax`.

    Args:
      block_size: number of rows whose logits are in memory at a time.
      matmul_dtype: "float32", or "bfloat16" for products of rounded vectors, whose relative error
        is about 2^-8; sums stay float32.

    Input: `users` and `positives` `[B, D]`, `negatives` `[S, D]` float; `positive_ids` `[B]` and
      `negative_ids` `[S]` integers; `positive_log_q` `[B]` and `negative_log_q` `[S]` float32, both
      or neither; `weight` `[B]` float or None.
    Output: scalar float32; it supports first derivatives only.

    Raises:
      InputError: an option is out of range.
      ValueError: only one of the two `log_q` is given.

    Example:
      >>> users, negatives = tf.zeros([1, 2]), tf.zeros([3, 2])
      >>> item, drawn = tf.constant([7]), tf.constant([7, 8, 9])
      >>> SampledSoftmax()(users, users, negatives, item, drawn).numpy().round(4)
      np.float32(1.0986)
    """

    def __init__(self, block_size: int = 1024, matmul_dtype: str = "float32", **kwargs):
        super().__init__(**({"dtype": "float32"} | kwargs))
        check_options("SampledSoftmax", block_size, matmul_dtype)
        self.block_size, self.matmul_dtype = block_size, matmul_dtype

    def call(
        self,
        users,
        positives,
        negatives,
        positive_ids,
        negative_ids,
        positive_log_q=None,
        negative_log_q=None,
        weight=None,
    ):
        if (positive_log_q is None) != (negative_log_q is None):
            raise ValueError(
                "give both positive_log_q and negative_log_q, or neither. Received: only "
                f"{'negative_log_q' if positive_log_q is None else 'positive_log_q'}"
            )
        users, positives = tf.cast(users, tf.float32), tf.cast(positives, tf.float32)
        positive = tf.reduce_sum(users * positives, 1)
        if positive_log_q is not None:
            positive -= positive_log_q
        return blocked_softmax(
            users,
            negatives,
            negative_log_q,
            weight,
            self.block_size,
            self.matmul_dtype,
            positive=positive,
            ids=(positive_ids, negative_ids),
        )

    def get_config(self):
        return super().get_config() | {
            "block_size": self.block_size,
            "matmul_dtype": self.matmul_dtype,
        }
