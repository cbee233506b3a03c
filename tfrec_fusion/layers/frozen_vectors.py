"""Precomputed vectors, projected."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import keras, tf


@keras.utils.register_keras_serializable("tfrec_fusion")
class FrozenVectors(keras.layers.Layer):
    """Rows of a non-trainable matrix, through a trained linear projection.

    The matrix is a variable, never a graph constant: constants are copied into every graph and end
    at 2 GB. Distinct rows are projected once and then gathered, so repeated rows cost a copy.

    Args:
      n_rows: rows of the matrix.
      input_dim: its columns.
      dim: output size; None leaves the vectors as they are.
      storage: dtype of the matrix, "float32" or "float16".

    Input: rows, integer `[...]`; -1 is unknown.
    Output: a pair of vectors `[..., dim]` and mask `[...]` bool, False (and a zero vector) where
      the row is unknown or has no vector.

    Raises:
      ValueError: an unknown storage dtype, or `assign` with another shape or with NaN or Inf.

    Example:
      >>> layer = FrozenVectors(3, 8, dim=4)
      >>> layer.assign(np.ones((3, 8)), [True, True, False])
      >>> layer(tf.constant([0, 2, -1]))[1].numpy().tolist()
      [True, False, False]
    """

    def __init__(
        self, n_rows: int, input_dim: int, dim: int | None = None, storage="float32", **kwargs
    ):
        super().__init__(**kwargs)
        if storage not in ("float32", "float16"):
            raise ValueError(f"storage must be 'float32' or 'float16'. Received: {storage!r}")
        self.n_rows, self.input_dim, self.dim, self.storage = n_rows, input_dim, dim, storage
        self.build(None)

    def build(self, input_shape):
        if self.built:
            return
        shape = (self.n_rows, self.input_dim)
        self.matrix = self.add_weight(
            "matrix", shape, dtype=self.storage, initializer="zeros", trainable=False
        )
        self.mask = self.add_weight(
            "mask", (self.n_rows,), dtype=tf.bool, initializer="zeros", trainable=False
        )
        if self.dim is not None:
            self.kernel = self.add_weight(
                "kernel",
                (self.input_dim, self.dim),
                dtype=tf.float32,
                initializer=keras.initializers.Orthogonal(),
            )
        super().build(input_shape)

    def assign(self, values, mask) -> None:
        """Fills the matrix, `[n_rows, input_dim]`, and the mask, `[n_rows]` bool."""
        values = np.asarray(values)
        if values.shape != (self.n_rows, self.input_dim):
            raise ValueError(
                f"values must have shape {(self.n_rows, self.input_dim)}. Received: {values.shape}"
            )
        if not np.isfinite(values).all():
            raise ValueError("values must be finite. Received: NaN or Inf")
        self.matrix.assign(values.astype(self.storage))
        self.mask.assign(np.asarray(mask, bool))

    def call(self, rows):
        rows = tf.convert_to_tensor(rows)
        flat, position = tf.unique(tf.reshape(rows, [-1]))
        safe = tf.maximum(flat, 0)
        mask = (flat >= 0) & tf.gather(self.mask, safe)
        vectors = tf.cast(tf.gather(self.matrix, safe), self.compute_dtype)
        vectors = tf.where(mask[:, None], vectors, tf.zeros([], self.compute_dtype))
        if self.dim is not None:
            vectors = tf.matmul(vectors, tf.cast(self.kernel, self.compute_dtype))
        shape = tf.concat([tf.shape(rows), [self.dim or self.input_dim]], 0)
        return (
            tf.reshape(tf.gather(vectors, position), shape),
            tf.reshape(tf.gather(mask, position), tf.shape(rows)),
        )

    def get_config(self):
        return super().get_config() | {
            "n_rows": self.n_rows,
            "input_dim": self.input_dim,
            "dim": self.dim,
            "storage": self.storage,
        }
