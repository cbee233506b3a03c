"""Embedding of ids with an unknown bucket."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.draws import add_draws, next_seed


@keras.utils.register_keras_serializable("tfrec_fusion")
class IdEmbedding(keras.layers.Layer):
    """Looks up trained vectors of `n_rows` known ids and one vector for all unknown ids.

    Row -1 gets the vector of the unknown bucket, initialised to zero. Training replaces each
    distinct id of the input by the unknown bucket with probability `dropout` (DropoutNet, Volkovs
    et al. 2017). This trains the bucket, and the model learns to score without the id.

    Args:
      n_rows: number of known rows.
      dim: size of a vector.
      dropout: probability in [0, 1) that training hides an id.
      initializer: initializer of the known rows; by default normal with standard deviation
        .2 / sqrt(dim).
      unknown: whether the unknown bucket has a trained vector; if False, it is zero.

    Input: rows, integer `[...]`, in -1 .. n_rows - 1.
    Output: `[..., dim]` in the compute dtype; with `with_mask=True` a pair of that and a bool
      `[...]`, False where the vector is that of the unknown bucket.

    Raises:
      ValueError: sizes or dropout out of range.

    Example:
      >>> IdEmbedding(10, 4)(tf.constant([3, -1])).shape
      TensorShape([2, 4])
    """

    def __init__(
        self,
        n_rows: int,
        dim: int,
        dropout: float = 0.0,
        initializer=None,
        unknown: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if n_rows < 1 or dim < 1:
            raise ValueError(f"n_rows and dim must be at least 1. Received: {n_rows}, {dim}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1). Received: {dropout}")
        self.n_rows, self.dim, self.dropout, self.has_unknown = n_rows, dim, dropout, unknown
        self.initializer = keras.initializers.get(
            initializer or keras.initializers.RandomNormal(stddev=0.2 / dim**0.5)
        )
        self.supports_masking = True

    def build(self, input_shape):
        self.table = self.add_weight(
            "table", (self.n_rows, self.dim), initializer=self.initializer, dtype=tf.float32
        )
        if self.has_unknown:
            self.unknown = self.add_weight(
                "unknown", (self.dim,), initializer="zeros", dtype=tf.float32
            )
        if self.dropout:
            self.draws = add_draws(self)
        super().build(input_shape)

    def call(self, rows, training=None, with_mask=False):
        rows = tf.convert_to_tensor(rows)
        known = rows >= 0
        if training and self.dropout:
            # One draw per id, not per occurrence: a repeated id is hidden everywhere or nowhere.
            flat, position = tf.unique(tf.reshape(rows, [-1]))
            kept = (
                tf.random.stateless_uniform(tf.shape(flat), next_seed(self.draws)) >= self.dropout
            )
            known &= tf.reshape(tf.gather(kept, position), tf.shape(rows))
        # tf.gather reads a partitioned table as a whole, and can return values of an earlier step.
        vectors = tf.nn.embedding_lookup(self.table, tf.maximum(rows, 0))
        unknown = self.unknown if self.has_unknown else tf.zeros([self.dim], vectors.dtype)
        vectors = tf.where(tf.expand_dims(known, -1), vectors, unknown)
        vectors = tf.cast(vectors, self.compute_dtype)
        return (vectors, known) if with_mask else vectors

    def get_config(self):
        return super().get_config() | {
            "n_rows": self.n_rows,
            "dim": self.dim,
            "dropout": self.dropout,
            "initializer": keras.initializers.serialize(self.initializer),
            "unknown": self.has_unknown,
        }
