"""Layer that embeds the declared features of items or users."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec_fusion._compat import keras, tf

_POOLINGS = ("sum", "mean", "attention")


@keras.utils.register_keras_serializable("tfrec_fusion")
class SideFeatures(keras.layers.Layer):
    """Maps categories and numbers of rows to one vector: `W x + MLP(x)`, zero at the start.

    x concatenates the pooled embeddings of each feature's categories and the numbers. All features
    share one embedding table, as in FBGEMM and HugeCTR, so a step gathers once. W and the last
    layer of the MLP start at zero, so that a model starts as the same model without features. The
    sum of a linear and a deep part is that of Wide & Deep (Cheng et al. 2016).

    Pooling by "attention" is a mean with the weights `softmax(e . q / sqrt(d))` over the present
    embeddings e of the feature and its trained query q, which starts at zero: as the mean.

    Args:
      n_rows: rows of the stored tables, e.g. of the catalogue.
      n_values: rows of the embedding table.
      slots: number of category columns and pooling of each feature: "sum", "mean" or "attention".
      n_numbers: number of numeric columns.
      dim: size of the vector.
      embedding_dim: size of a category's embedding.
      hidden: units of the MLP; 0 for none.
      zero_start: False starts W at random values, for a tower that has nothing else: the gradient
        of a product of two towers is zero where both are.
      flags: numeric columns that are 1 where a feature has no value.

    Input: rows, integer `[...]`, -1 unknown; or, for `of`, categories `[..., width]` int32 with -1
      for missing and numbers `[..., n_numbers]` float32.
    Output: `[..., dim]` float32; zero for an unknown row and for one without any category whose
      numbers are all 0.

    Raises:
      ValueError: no columns, or another pooling.
    """

    def __init__(
        self,
        n_rows: int,
        n_values: int,
        slots: Sequence[Sequence],
        n_numbers: int,
        dim: int,
        embedding_dim: int = 16,
        hidden: int = 32,
        zero_start: bool = True,
        flags: Sequence[int] = (),
        **kwargs,
    ):
        super().__init__(autocast=False, **({"dtype": "float32"} | kwargs))
        slots = [(int(width), str(pool)) for width, pool in slots]
        if not (slots or n_numbers):
            raise ValueError("slots or n_numbers must be given. Received: neither")
        unknown = [pool for _, pool in slots if pool not in _POOLINGS]
        if unknown:
            raise ValueError(f"the pooling must be one of {_POOLINGS}. Received: {unknown[0]!r}")
        self.options = {
            "n_rows": n_rows,
            "n_values": n_values,
            "slots": slots,
            "n_numbers": n_numbers,
            "dim": dim,
            "embedding_dim": embedding_dim,
            "hidden": hidden,
            "zero_start": zero_start,
            "flags": list(flags),
        }
        self.slots, self.n_numbers, self.dim = slots, n_numbers, dim
        self.width = sum(width for width, _ in slots)
        self.build(None)

    def build(self, input_shape):
        if self.built:
            return
        size = self.options
        columns, hidden = len(self.slots) * size["embedding_dim"] + self.n_numbers, size["hidden"]
        self.rows = self._weight("rows", (size["n_rows"], self.width), _minus_one, tf.int32)
        self.numbers = self._weight("numbers", (size["n_rows"], self.n_numbers), "zeros")
        if self.slots:
            normal = keras.initializers.RandomNormal(stddev=size["embedding_dim"] ** -0.5)
            self.table = self._weight("table", (size["n_values"], size["embedding_dim"]), normal)
        attended = sum(slot[0] > 1 and slot[1] == "attention" for slot in self.slots)
        if attended:
            self.queries = self._weight("queries", (attended, size["embedding_dim"]), "zeros")
        start = "zeros" if size["zero_start"] else "glorot_uniform"
        self.kernel = self._weight("kernel", (columns, self.dim), start)
        if hidden:
            # Without a bias a row without features has a zero vector.
            self.hidden = self._weight("hidden", (columns, hidden), "glorot_uniform")
            self.last = self._weight("last", (hidden, self.dim), "zeros")
        super().build(input_shape)

    def _weight(self, name: str, shape: tuple[int, int], initializer, dtype=tf.float32):
        return self.add_weight(
            # A model may hold two of these layers; names in an .h5 file must be unique.
            f"{self.name}/{name}",
            shape,
            dtype,
            initializer,
            trainable=name not in ("rows", "numbers"),
            experimental_autocast=False,  # float32 under mixed precision too
        )

    def assign(self, rows: np.ndarray, numbers: np.ndarray) -> None:
        """Stores the encoded features of all rows, as `features.Side.encode` returns them."""
        self.rows.assign(rows)
        self.numbers.assign(numbers)

    def call(self, rows):
        return self.of(*self.encoded(rows))

    def encoded(self, rows):
        """Returns the stored categories and numbers of rows; -1 and 0 for unknown ones."""
        rows = tf.convert_to_tensor(rows)
        safe, known = tf.maximum(rows, 0), (rows >= 0)[..., None]
        categories = tf.where(known, tf.gather(self.rows, safe), -1)
        return categories, tf.where(known, tf.gather(self.numbers, safe), 0.0)

    def present(self, rows):
        """Returns `[...]` bool: whether each row of the stored tables has a value of a feature."""
        rows = tf.convert_to_tensor(rows)
        safe = tf.maximum(rows, 0)
        found = tf.reduce_any(tf.gather(self.rows, safe) >= 0, -1)
        if self.options["flags"]:
            flags = tf.gather(self.numbers, self.options["flags"], axis=1)
            found |= tf.reduce_any(tf.gather(flags, safe) == 0, -1)
        return found & (rows >= 0)

    def of(self, categories, numbers):
        """Computes vectors from encoded categories and numbers."""
        parts = []
        if self.slots:
            parts.append(self.pooled(categories))
        if self.n_numbers:
            parts.append(tf.cast(numbers, tf.float32))
        x = tf.concat(parts, -1)
        hidden = self.options["hidden"]
        if not hidden:
            return tf.tensordot(x, self.kernel, 1)
        # One product is faster than two, above all in the gradient.
        both = tf.tensordot(x, tf.concat([self.kernel, self.hidden], 1), 1)
        vectors, units = tf.split(both, [self.dim, hidden], -1)
        return vectors + tf.tensordot(tf.nn.relu(units), self.last, 1)

    def pooled(self, categories):
        """Returns the pooled embeddings of all features, `[..., slots * embedding_dim]` float32."""
        known = categories >= 0
        vectors = tf.nn.embedding_lookup(self.table, tf.maximum(categories, 0))
        vectors = tf.where(known[..., None], vectors, 0.0)
        if self.width > len(self.slots):
            widths, pools = zip(*self.slots, strict=True)
            parts, attended = [], 0
            for part, mask, width, pool in zip(
                tf.split(vectors, widths, -2),
                tf.split(known, widths, -1),
                widths,
                pools,
                strict=True,
            ):
                query = None
                if pool == "attention" and width > 1:
                    query, attended = self.queries[attended], attended + 1
                parts.append(_pooled(part, mask, pool, query))
            return tf.concat(parts, -1)
        columns = len(self.slots) * self.options["embedding_dim"]
        return tf.reshape(vectors, tf.concat([tf.shape(categories)[:-1], [columns]], 0))

    def get_config(self):
        return super().get_config() | self.options


def _pooled(vectors, known, pool: str, query):
    """Combines `vectors` `[..., n, d]`, zero where `known` `[..., n]` is False, to `[..., d]`."""
    if query is not None:
        scores = tf.linalg.matvec(vectors, query) * vectors.shape[-1] ** -0.5
        weights = tf.nn.softmax(tf.where(known, scores, scores.dtype.min))
        return tf.reduce_sum(weights[..., None] * vectors, -2)
    total = tf.reduce_sum(vectors, -2)
    if pool == "mean":
        count = tf.reduce_sum(tf.cast(known, tf.float32), -1, keepdims=True)
        total /= tf.maximum(count, 1.0)
    return total


def _minus_one(shape, dtype=None):
    return -tf.ones(shape, dtype or tf.int32)
