"""Softmax cross-entropy without the logit matrix."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.losses.masking import MASKED

_ONCE = "the blocked softmax has first derivatives only"


def check_options(name: str, block_size: int, matmul_dtype: str) -> None:
    """Raises InputError where an option of the loss called `name` is out of range."""
    if block_size < 1:
        raise InputError(f"{name}: block_size must be at least 1. Received: {block_size}")
    if matmul_dtype not in ("float32", "bfloat16"):
        raise InputError(
            f"{name}: matmul_dtype must be 'float32' or 'bfloat16'. Received: {matmul_dtype!r}"
        )


def blocked_softmax(
    queries: tf.Tensor,
    candidates: tf.Tensor,
    positive: tf.Tensor,
    query_ids: tf.Tensor,
    candidate_ids: tf.Tensor,
    log_q: tf.Tensor | None,
    weight: tf.Tensor | None,
    block_size: int,
    matmul_dtype: str,
) -> tf.Tensor:
    """`mean_b weight_b (log(exp p_b + sum_j exp s_bj) - p_b)` over the j of another id than b's.

    `s_bj = queries_b . candidates_j - log_q_j`, with p_b = `positive`. Rows are taken `block_size`
    at a time; a block's logits are gone before the next begin, so memory holds
    `block_size x C` of them. The weights of the mean are known beforehand, and so each block adds
    its part of the gradient while it is at hand: backward has nothing to compute again. Scores,
    exponentials and sums are float32 whatever `matmul_dtype` is.

    Args:
      queries: `[B, D]` float; candidates: `[C, D]` float.
      positive: `[B]` float32, with its own `log_q` already taken off.
      query_ids: `[B]` and candidate_ids `[C]` of one integer dtype: a candidate with the row's own
        id is masked.
      log_q: `[C]` float32, a constant, or None.
      weight: `[B]` float32 or None.
      block_size: rows a block.
      matmul_dtype: of the three products' inputs, "float32" or "bfloat16".

    Returns:
      Scalar float32, with first derivatives by queries, candidates, positive and weight.
    """
    if weight is None:
        weight = tf.ones(tf.shape(queries)[:1])

    @tf.custom_gradient
    def loss_of(queries, candidates, positive, weight):
        rows, dim = tf.shape(queries)[0], queries.shape[1]
        n_blocks = (rows + block_size - 1) // block_size
        share = weight / tf.cast(rows, tf.float32)
        columns = tf.cast(candidates, matmul_dtype)
        # Blocks of one size, whose last rows may be empty: XLA wants shapes that do not depend on
        # where a block starts.
        empty = n_blocks * block_size - rows
        padded = [
            tf.pad(values, [[0, empty]] + [[0, 0]] * (values.shape.rank - 1))
            for values in (queries, positive, share, query_ids)
        ]

        def block(i, d_candidates, *results):
            query, p, w, ids = (_rows(values, i * block_size, block_size) for values in padded)
            logits = tf.matmul(tf.cast(query, matmul_dtype), columns, transpose_b=True)
            logits = tf.cast(logits, tf.float32)
            if log_q is not None:
                logits -= log_q
            logits = tf.where(ids[:, None] == candidate_ids, MASKED, logits)
            # The sum of the exponentials is what the largest of them was divided by.
            softmax = tf.nn.softmax(logits)
            negative = tf.reduce_max(logits, 1) - tf.math.log(tf.reduce_max(softmax, 1))
            scale = w * tf.sigmoid(negative - p)
            softmax = tf.cast(softmax, matmul_dtype)
            d_query = tf.cast(tf.matmul(softmax, columns), tf.float32) * scale[:, None]
            weighted = tf.cast(query * scale[:, None], matmul_dtype)
            part = tf.matmul(softmax, weighted, transpose_a=True)
            values = tf.nn.softplus(negative - p), d_query, -scale
            results = [array.write(i, v) for array, v in zip(results, values, strict=True)]
            return i + 1, d_candidates + tf.cast(part, tf.float32), *results

        arrays = [
            tf.TensorArray(tf.float32, n_blocks, element_shape=[block_size, *shape])
            for shape in ([], [dim], [])
        ]
        _, d_candidates, *arrays = tf.while_loop(
            lambda i, *_: i < n_blocks,
            block,
            (0, tf.zeros_like(candidates), *arrays),
            parallel_iterations=1,
        )
        nll, d_queries, d_positive = (
            tf.reshape(array.stack(), [-1, *shape])[:rows]
            for array, shape in zip(arrays, ([], [dim], []), strict=True)
        )

        def gradient(upstream):
            d_weight = nll / tf.cast(rows, tf.float32)
            return [
                tf.raw_ops.PreventGradient(input=upstream * value, message=_ONCE)
                for value in (d_queries, d_candidates, d_positive, d_weight)
            ]

        return tf.reduce_sum(nll * share), gradient

    return loss_of(
        tf.cast(queries, tf.float32),
        tf.cast(candidates, tf.float32),
        tf.cast(positive, tf.float32),
        tf.cast(weight, tf.float32),
    )


def _rows(values: tf.Tensor, start: tf.Tensor, count: int) -> tf.Tensor:
    columns = values.shape[1:]
    return tf.slice(values, [start] + [0] * len(columns), [count, *columns])
