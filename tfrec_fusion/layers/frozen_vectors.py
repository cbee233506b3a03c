"""Lookup of precomputed vectors with a trained projection."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import keras, tf

_STORAGES = ("float32", "bfloat16", "float16", "int8")
_CHUNK_NUMBERS = 1 << 24  # assigned at once


@keras.utils.register_keras_serializable("tfrec_fusion")
class FrozenVectors(keras.layers.Layer):
    """Looks up rows of a frozen matrix and projects them by a trained linear map.

    The matrix is a variable, because constants are copied into every graph and limited to 2 GB.
    Each distinct row is projected once and then gathered, so repeated rows cost only a copy.

    "int8" stores each row as integers q in [-127, 127] and one float32 scale s: the vector is q * s
    with s = max|x| / 127, an error of at most s / 2 per number. It takes a quarter of the memory of
    "float32".

    Args:
      n_rows: rows of the matrix.
      input_dim: columns of the matrix.
      dim: output size; None for no projection.
      storage: dtype of the matrix, "float32", "bfloat16", "float16" or "int8".

    Input: rows, integer `[...]`; -1 is unknown.
    Output: a pair of vectors `[..., dim]` and mask `[...]` bool; a row that is unknown or has no
      vector gives False and a zero vector.

    Raises:
      ValueError: an unknown storage dtype, or `assign` with another shape, with NaN or Inf or with
        numbers beyond float16.

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
        if storage not in _STORAGES:
            raise ValueError(f"storage must be one of {_STORAGES}. Received: {storage!r}")
        self.n_rows, self.input_dim, self.dim, self.storage = n_rows, input_dim, dim, storage
        self.build(None)

    def build(self, input_shape):
        if self.built:
            return
        shape = (self.n_rows, self.input_dim)
        self.matrix = self.add_weight(
            "matrix", shape, dtype=self.storage, initializer="zeros", trainable=False
        )
        if self.storage == "int8":
            self.row_scale = self.add_weight(
                "row_scale", (self.n_rows,), dtype=tf.float32, initializer="zeros", trainable=False
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
        """Fills the matrix, `[n_rows, input_dim]`, and the mask, `[n_rows]` bool.

        It converts the values in chunks, so a memory-mapped table needs one copy, in the storage
        dtype, and may exceed 2 GB, because it never enters a graph.
        """
        if np.shape(values) != (self.n_rows, self.input_dim):
            raise ValueError(
                f"values must have shape {(self.n_rows, self.input_dim)}. "
                f"Received: {np.shape(values)}"
            )
        values = np.asanyarray(values)
        step = max(1, _CHUNK_NUMBERS // max(1, self.input_dim))
        chunks = [slice(start, start + step) for start in range(0, self.n_rows, step)]
        largest = np.finfo(np.float16 if self.storage == "float16" else np.float32).max
        for chunk in chunks:
            if not (np.abs(values[chunk]) <= largest).all():
                raise ValueError(
                    f"values must be finite numbers of {self.storage}. Received: NaN, Inf or a "
                    f"number beyond {largest:g} in rows {chunk.start} to "
                    f"{min(chunk.stop, self.n_rows) - 1}"
                )
        matrix = np.empty(values.shape, tf.as_dtype(self.storage).as_numpy_dtype)
        scale = np.ones(self.n_rows, np.float32)
        for chunk in chunks:
            part = values[chunk]
            if self.storage == "int8":
                scale[chunk] = np.abs(part).max(1, initial=0) / 127
                part = np.rint(part / np.where(scale[chunk] > 0, scale[chunk], 1)[:, None])
            matrix[chunk] = part
        self.matrix.assign(matrix)
        if self.storage == "int8":
            self.row_scale.assign(scale)
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
        if self.storage == "int8":  # after the projection there are fewer columns to scale
            scale = tf.gather(self.row_scale, safe)
            vectors *= tf.cast(scale, self.compute_dtype)[:, None]
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
