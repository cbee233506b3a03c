"""Exact top-k by dot product, with masked pairs, bias and restrictions."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError

# Items per group; 16 and 64 were slower at 1M items and k 100.
GROUP = 32


def best_in_groups(scores: tf.Tensor, k) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the k largest scores of each row, best first, without sorting the row.

    The k groups of adjacent columns with the largest maxima contain the k largest scores: a score
    outside them is below k maxima. Ties go to the lower column, also between groups.

    Args:
      scores: `[B, M]` float, M a multiple of `GROUP`; no NaN.
      k: int scalar, at most `M / GROUP`.

    Returns:
      Scores `[B, k]` and columns `[B, k]` int32.
    """
    shape = tf.shape(scores)
    groups = tf.reshape(scores, [shape[0], shape[1] // GROUP, GROUP])
    return best_members(groups, tf.reduce_max(groups, 2), k)


def best_members(groups: tf.Tensor, maxima: tf.Tensor, k, first=0) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the k largest scores of a range of adjacent groups, best first.

    Args:
      groups: `[B, all, size]` float, no NaN.
      maxima: `[B, some]` maxima of the groups from `first` on.
      k: int scalar, at most `some * size`.
      first: int scalar, the first group of the range.

    Returns:
      Scores `[B, k]` and columns `[B, k]` int32, numbered over all groups.
    """
    size = tf.shape(groups)[2]
    n_groups = tf.minimum(k, tf.shape(maxima)[1])
    chosen = first + tf.math.top_k(maxima, n_groups, sorted=False).indices
    chosen = tf.sort(chosen, axis=1)
    members = tf.gather(groups, chosen, batch_dims=1)
    members = tf.reshape(members, [tf.shape(groups)[0], n_groups * size])
    best, place = tf.math.top_k(members, k)
    return best, tf.gather(chosen, place // size, batch_dims=1) * size + place % size


def exact_top_k(
    queries, item_vectors, k, masked_pairs=None, bias=None, allowed=None, restricted=True
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the k items with the largest `queries . item_vectors + bias`, best first.

    Masked and disallowed items get -inf before the selection. Ties go to the lower row. If fewer
    than k items remain, the result is padded with row -1 and the lowest finite number of the
    scores' dtype, because JSON cannot represent -inf.

    If k is small relative to N, the search uses the maxima of groups of items (`best_in_groups`);
    the result is the same. All `B * N` scores are in memory at once.

    Args:
      queries: `[B, D]` float.
      item_vectors: `[N, D]` of the same dtype; or an object with `shape` and `product(queries,
        first, end)`, which returns the products with rows first to end `[B, end - first]`.
      k: int scalar, 0 or more; may exceed N.
      masked_pairs: `[P, 2]` int pairs (position in the batch, item row) to exclude; pairs with a
        negative number are ignored, repeated pairs are harmless. None masks nothing.
      bias: `[N]` of the queries' dtype, -inf to exclude an item for all queries. None adds nothing.
      allowed: `[B, N]` or `[1, N]` bool, the items to choose from. None allows all.
      restricted: bool scalar; if False, `allowed` is ignored and may have any shape.

    Returns:
      Scores `[B, k]` in the queries' dtype and rows `[B, k]` int32.

    Example:
      >>> exact_top_k(tf.constant([[1.0]]), tf.constant([[2.0], [3.0]]), 1)[1].numpy().tolist()
      [[1]]
    """
    queries = tf.convert_to_tensor(queries)
    if not (isinstance(item_vectors, tf.Variable) or hasattr(item_vectors, "product")):
        item_vectors = tf.convert_to_tensor(item_vectors)
    pairs = None
    if masked_pairs is not None:
        pairs = tf.convert_to_tensor(masked_pairs)
        pairs = _where(pairs, tf.reduce_all(pairs >= 0, 1))
    n_items = item_vectors.shape[0]
    if n_items is None:
        n_items = tf.shape(item_vectors)[0]
    grouped = tf.convert_to_tensor(_few(k, n_items))
    if isinstance(n_items, int) and n_items < GROUP:
        grouped = tf.constant(False)  # there are too few items to build the graph of groups

    def changed(scores, first):
        return _final(scores, first, bias, allowed, restricted, pairs)

    best, rows = _either(
        grouped,
        lambda: _by_groups(queries, item_vectors, n_items, k, changed),
        lambda: _by_sorting(queries, item_vectors, n_items, k, changed),
    )
    return padded(best, rows, k)


def _few(k, n_items):
    """Whether there are more than 2 k groups; divides, as 2 k GROUP may overflow int32."""
    return k <= (n_items - 1) // (2 * GROUP)


def _either(condition: tf.Tensor, first, second):
    """Like `tf.cond`, but builds only the branch taken if the condition is static."""
    known = tf.get_static_value(condition)
    if known is None:
        return tf.cond(condition, first, second)
    return first() if known else second()


def _by_sorting(queries, item_vectors, n_items, k, changed):
    """Sorts all scores; `changed(scores, first)` applies bias and masks from item `first` on."""
    scores = changed(_product(queries, item_vectors, 0, n_items), 0)
    best, rows = tf.math.top_k(scores, tf.minimum(k, n_items))
    return best, rows


def _by_groups(queries, item_vectors, n_items, k, changed):
    """Gives the result of `_by_sorting` by way of group maxima."""
    # A slice of leading rows is not copied. The items after the last whole group are scored in a
    # product as wide as a group, because a narrower product may round differently and break ties.
    whole = n_items // GROUP * GROUP
    scores = _product(queries, item_vectors, 0, whole)
    rest = _product(queries, item_vectors, n_items - GROUP, n_items)
    scores, rest = changed(scores, 0), changed(rest, n_items - GROUP)
    best, rows = best_in_groups(scores, k)
    rest_rows = tf.broadcast_to(tf.range(whole, n_items), [tf.shape(queries)[0], n_items - whole])
    best = tf.concat([best, rest[:, whole - n_items + GROUP :]], 1)
    rows = tf.concat([rows, rest_rows], 1)
    best, place = tf.math.top_k(best, k)
    return best, tf.gather(rows, place, batch_dims=1)


def _product(queries, item_vectors, first, end):
    if hasattr(item_vectors, "product"):
        return item_vectors.product(queries, first, end)
    return tf.matmul(queries, item_vectors[first:end], transpose_b=True)


def _final(scores, first, bias, allowed, restricted, pairs):
    """Applies bias, restriction and masks to the scores of the items from `first` on."""
    end = first + tf.shape(scores)[1]
    if bias is not None:
        scores += bias[first:end]
    if allowed is not None:
        lowest = tf.constant(-np.inf, scores.dtype)
        scores = _either(
            tf.convert_to_tensor(restricted),
            lambda: tf.where(allowed[:, first:end], scores, lowest),
            lambda: scores,
        )
    return scores if pairs is None else _hide(scores, pairs, first)


def _hide(scores, pairs, first):
    """Sets the pairs' scores to -inf; column 0 is item `first`; skips items outside."""
    pairs -= tf.cast(tf.stack([0, first]), pairs.dtype)
    columns = tf.cast(tf.shape(scores)[1], pairs.dtype)
    pairs = _where(pairs, (pairs[:, 1] >= 0) & (pairs[:, 1] < columns))
    hidden = tf.fill(tf.shape(pairs)[:1], tf.constant(-np.inf, scores.dtype))
    return tf.tensor_scatter_nd_update(scores, pairs, hidden)


def _where(pairs, condition):
    """Selects pairs by a condition `[P]`, with a smaller graph than `tf.boolean_mask`."""
    return tf.gather(pairs, tf.where(condition)[:, 0])


def _hide_static(scores, pairs, first):
    """Like `_hide`, with static shapes for XLA: pairs outside get the upper bound +inf."""
    pairs -= tf.cast(tf.stack([0, first]), pairs.dtype)
    columns = tf.cast(tf.shape(scores)[1], pairs.dtype)
    inside = tf.reduce_all(pairs >= 0, 1) & (pairs[:, 1] < columns)
    bounds = tf.where(inside, tf.constant(-np.inf, scores.dtype), np.inf)
    return tf.tensor_scatter_nd_min(scores, tf.where(inside[:, None], pairs, 0), bounds)


def _to_power_of_two(pairs):
    """Pads the pairs with (-1, -1) to a power of two."""
    count = tf.cast(tf.maximum(tf.shape(pairs)[0], 1), tf.float64)
    power = tf.math.ceil(tf.math.log(count) / np.log(2.0))
    missing = tf.cast(2.0**power, tf.int32) - tf.shape(pairs)[0]
    return tf.pad(pairs, [[0, missing], [0, 0]], constant_values=-1)


def padded(best, rows, k) -> tuple[tf.Tensor, tf.Tensor]:
    """Pads to `[B, k]`; padding and -inf become row -1 and the lowest finite score."""
    left = best > -np.inf
    best = tf.where(left, best, best.dtype.min)
    rows = tf.where(left, rows, -1)
    beyond = [[0, 0], [0, k - tf.shape(best)[1]]]
    return (
        tf.pad(best, beyond, constant_values=best.dtype.min),
        tf.pad(rows, beyond, constant_values=-1),
    )


@keras.utils.register_keras_serializable("tfrec_fusion")
class ExactTopK(keras.layers.Layer):
    """Layer that applies `exact_top_k` to item vectors stored in a non-trainable variable.

    Assign the variable only as a whole: after a scatter, each read copies it.

    Args:
      item_vectors: `[N, D]` float32.
      jit_compile: whether to compile with XLA, which takes about a second for each new batch size,
        k and power of two of masked pairs; k must be a Python number.

    Input: `queries` `[B, D]` float32, `k` int scalar, `masked_pairs` `[P, 2]` int or None.
    Output: scores `[B, k]` float32 and rows `[B, k]` int32, padded with -1.

    Raises:
      InputError: k is negative.
      ValueError: `item_vectors` is not a matrix of finite numbers, or k is a tensor with
        `jit_compile=True`.

    Example:
      >>> scores, rows = ExactTopK([[1.0], [3.0], [2.0]])(tf.constant([[1.0]]), 2, [[0, 1]])
      >>> rows.numpy().tolist()
      [[2, 0]]
    """

    def __init__(self, item_vectors, jit_compile: bool = False, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(trainable=False, **kwargs)
        values = np.asarray(item_vectors, np.float32)
        if values.ndim != 2 or not np.isfinite(values).all():
            raise ValueError(
                "item_vectors must be a finite matrix [n_items, dim]. Received: "
                f"shape {values.shape}, {int((~np.isfinite(values)).sum())} not finite"
            )
        self.jit_compile = jit_compile
        self.item_vectors = self.add_weight(
            "item_vectors",
            values.shape,
            initializer=lambda shape, dtype=None: tf.constant(values, dtype),
            trainable=False,
        )
        self._compiled = tf.function(self._static, jit_compile=True, autograph=False)

    def call(self, queries, k, masked_pairs=None):
        if not tf.is_tensor(k) and k < 0:
            raise InputError(f"ExactTopK: k must be 0 or more. Received: {k}")
        if not self.jit_compile:
            return exact_top_k(queries, self.item_vectors, k, masked_pairs)
        if tf.is_tensor(k):
            raise ValueError(f"k must be a Python number with jit_compile=True. Received: {k}")
        if masked_pairs is not None:
            masked_pairs = tf.convert_to_tensor(masked_pairs)
            masked_pairs = _to_power_of_two(masked_pairs)
        return self._compiled(queries, int(k), masked_pairs)

    def _static(self, queries, k, pairs):
        n_items = self.item_vectors.shape[0]
        choose = _by_groups if _few(k, n_items) else _by_sorting

        def changed(scores, first):
            return scores if pairs is None else _hide_static(scores, pairs, first)

        best, rows = choose(queries, self.item_vectors, n_items, k, changed)
        return padded(best, rows, k)

    def get_config(self):
        config = super().get_config() | {
            "shape": list(self.item_vectors.shape),
            "jit_compile": self.jit_compile,
        }
        del config["trainable"]
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(np.zeros(config.pop("shape"), np.float32), **config)
