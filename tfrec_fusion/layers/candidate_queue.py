"""Item vectors of earlier batches, as further negatives."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf


@keras.utils.register_keras_serializable("tfrec_fusion")
class CandidateQueue(keras.layers.Layer):
    """Keeps the last item vectors of earlier batches, and adds them to those of a batch.

    Kept vectors are constants: they are negatives for the batch's users and get no gradient. Items
    that the batch itself has are left out, so none is a negative of its own pair. Source:
    cross-batch negative sampling (Wang et al., SIGIR 2021), after MoCo (He et al., CVPR 2020).

    Args:
      size: number of vectors to keep.
      dim: their number of columns.

    Input: `items` `[U, dim]` float32, vectors of the distinct items of a batch; their `rows` `[U]`
      int32; their `log_q` `[U]` float32. A call also stores them.
    Output: `items` and `log_q` with K kept ones behind them: `[U + K, dim]` and `[U + K]`.

    Raises:
      ValueError: a size below 1.

    Example:
      >>> queue = CandidateQueue(2, 1)
      >>> first = queue(tf.constant([[1.0], [2.0]]), tf.constant([7, 8]), tf.zeros([2]))
      >>> queue(tf.constant([[3.0]]), tf.constant([8]), tf.zeros([1]))[0].numpy().ravel().tolist()
      [3.0, 1.0]
    """

    def __init__(self, size: int, dim: int, **kwargs):
        super().__init__(autocast=False, **({"dtype": "float32"} | kwargs))
        if size < 1 or dim < 1:
            raise ValueError(f"size and dim must be at least 1. Received: {size}, {dim}")
        self.size, self.dim = size, dim
        self.build(None)

    def build(self, input_shape):
        if self.built:
            return
        self.vectors = self._weight("vectors", (self.size, self.dim), tf.float32, "zeros")
        self.rows = self._weight("rows", (self.size,), tf.int32, _none)
        self.log_q = self._weight("log_q", (self.size,), tf.float32, "zeros")
        self.count = self._weight("count", (), tf.int64, "zeros")
        super().build(input_shape)

    def _weight(self, name: str, shape: tuple[int, ...], dtype, initializer):
        return self.add_weight(
            name,
            shape,
            dtype,
            initializer,
            trainable=False,
            experimental_autocast=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def call(self, items, rows, log_q):
        known, vectors = tf.identity(self.rows), tf.identity(self.vectors)
        ordered = tf.sort(rows)
        place = tf.minimum(tf.searchsorted(ordered, known), tf.size(rows) - 1)
        other = (known >= 0) & (tf.gather(ordered, place) != known)
        more = tf.boolean_mask(vectors, other), tf.boolean_mask(self.log_q, other)
        found = tf.concat([items, more[0]], 0), tf.concat([log_q, more[1]], 0)
        self._store(items[: self.size], rows[: self.size], log_q[: self.size])
        return found

    def _store(self, items, rows, log_q):
        count = tf.identity(self.count)
        place = (count + tf.range(tf.size(rows), dtype=tf.int64)) % self.size
        for weight, values in ((self.vectors, items), (self.rows, rows), (self.log_q, log_q)):
            kept = tf.stop_gradient(tf.cast(values, weight.dtype))
            weight.assign(tf.tensor_scatter_nd_update(weight, place[:, None], kept))
        self.count.assign(count + tf.size(rows, tf.int64))

    def get_config(self):
        return super().get_config() | {"size": self.size, "dim": self.dim}


def _none(shape, dtype=None):
    return -tf.ones(shape, dtype or tf.int32)
