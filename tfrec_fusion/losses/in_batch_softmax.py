"""Softmax loss with in-batch negatives."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.losses.blocked import blocked_softmax, check_options


@keras.utils.register_keras_serializable("tfrec_fusion")
class InBatchSoftmax(keras.layers.Layer):
    """Softmax cross-entropy with in-batch negatives: `mean_b weight_b (logsumexp_j s_bj - s_bb)`.

    `s_bj = users_b . items_j - log q_j`; the other rows' items are the negatives. The log-q
    correction subtracts the log of an item's frequency in batches (up to a constant: its share of
    the events). Without it the loss penalises popular items for being frequent (Yi et al. 2019,
    "Sampling-bias-corrected neural modeling"). Other rows with the same item are masked.

    The logits `[B, B]` are never stored as a whole; see `blocked_softmax`. Marking repeated items
    by `positive_index` is faster than by `item_ids`: each distinct item is scored once and weighted
    by its number of occurrences.

    Args:
      block_size: number of rows whose logits are in memory at a time.
      matmul_dtype: "float32", or "bfloat16" for products of rounded vectors, whose relative error
        is about 2^-8; sums stay float32.

    Input: `users` and `items` `[B, D]` float, row b of both a pair; `item_ids` `[B]` integer, or
      None if all differ; `log_q` `[B]` float32 of the items, or None; `weight` `[B]` float or None.
      With `positive_index` `[B]` int32, `items` `[U, D]` are the distinct items of the batch,
      `positive_index` is each pair's row in them, `log_q` is `[U]`, and `item_ids` is not needed;
      items that are no pair's are negatives too.
    Output: scalar float32; it supports first derivatives only.

    Raises:
      InputError: an option is out of range.

    Example:
      >>> loss = InBatchSoftmax()(tf.zeros([3, 2]), tf.zeros([3, 2]), tf.constant([7, 8, 8]))
      >>> loss.numpy().round(4)  # (log 3 + 2 log 2) / 3
      np.float32(0.8283)
    """

    def __init__(self, block_size: int = 1024, matmul_dtype: str = "float32", **kwargs):
        super().__init__(**({"dtype": "float32"} | kwargs))
        check_options("InBatchSoftmax", block_size, matmul_dtype)
        self.block_size, self.matmul_dtype = block_size, matmul_dtype

    def call(self, users, items, item_ids=None, log_q=None, weight=None, positive_index=None):
        users, items = tf.cast(users, tf.float32), tf.cast(items, tf.float32)
        ids = log_count = None
        if positive_index is not None:
            ones = tf.ones_like(positive_index, tf.float32)
            counts = tf.math.unsorted_segment_sum(ones, positive_index, tf.shape(items)[0])
            log_counts = tf.math.log(tf.maximum(counts, 1.0))
            log_count = tf.gather(log_counts, positive_index)
            log_q = -log_counts if log_q is None else log_q - log_counts
        else:
            positive_index = tf.range(tf.shape(items)[0])
            ids = None if item_ids is None else (item_ids, item_ids)
        return blocked_softmax(
            users,
            items,
            log_q,
            weight,
            self.block_size,
            self.matmul_dtype,
            positive_index=positive_index,
            positive_log_count=log_count,
            ids=ids,
        )

    def get_config(self):
        return super().get_config() | {
            "block_size": self.block_size,
            "matmul_dtype": self.matmul_dtype,
        }
