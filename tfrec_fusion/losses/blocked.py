"""Softmax cross-entropy in blocks, without storing the logit matrix."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.losses.masking import MASKED

_NEAR = 60.0  # e^-60 is far above the smallest float32
_ONCE = "the blocked softmax supports first derivatives only"


def check_options(name: str, block_size: int, matmul_dtype: str) -> None:
    """Raises InputError if an option of the loss `name` is out of range."""
    if block_size < 1:
        raise InputError(f"{name}: block_size must be at least 1. Received: {block_size}")
    if matmul_dtype not in ("float32", "bfloat16"):
        raise InputError(
            f"{name}: matmul_dtype must be 'float32' or 'bfloat16'. Received: {matmul_dtype!r}"
        )


def blocked_softmax(
    queries: tf.Tensor,
    candidates: tf.Tensor,
    log_q: tf.Tensor | None,
    weight: tf.Tensor | None,
    block_size: int,
    matmul_dtype: str,
    *,
    positive_index: tf.Tensor | None = None,
    positive_log_count: tf.Tensor | None = None,
    positive: tf.Tensor | None = None,
    ids: tuple[tf.Tensor, tf.Tensor] | None = None,
) -> tf.Tensor:
    """Computes `mean_b weight_b (log(exp p_b + sum_j exp s_bj) - p_b)`, j over row b's negatives.

    `s_bj = queries_b . candidates_j - log_q_j`; p_b is `positive`, or the score of the candidate
    `positive_index`. It processes `block_size` rows at a time, so memory holds `block_size x C`
    logits. Each block also computes its part of the gradient, because the weights of the mean are
    known beforehand; the backward pass recomputes nothing. Scores, exponentials and sums are
    float32 for any `matmul_dtype`.

    A pass over a block's logits takes a tenth of the time of its products, so the exponential is
    the only one: log_q and an upper bound of the row's logits are columns of the first product,
    the sum of the exponentials is a column of the second, the softmax is not normalised per
    element, and one positive is subtracted from the sums instead of masked. Two cases use separate
    passes: a bound so loose that exponentials could underflow, and bfloat16, which would round
    these columns.

    Args:
      queries: `[B, D]` float; candidates: `[C, D]` float.
      log_q: `[C]` float32, a constant, or None.
      weight: `[B]` float32 or None.
      block_size: number of rows per block.
      matmul_dtype: dtype of the inputs of the three products, "float32" or "bfloat16".
      positive_index: `[B]` int32, the candidate that is each row's positive, or None.
      positive_log_count: `[B]` float32, how much the positive's score exceeds p_b: the log of the
        candidate's multiplicity, if `log_q` includes it; None for 0.
      positive: `[B]` float32, p_b with its `log_q` subtracted, if there is no `positive_index`.
      ids: `[B]` and `[C]` of one integer dtype: masks candidates with the row's id, except
        `positive_index`. It costs another pass.

    Returns:
      Scalar float32, with first derivatives by queries, candidates, weight and positive.
    """
    if weight is None:
        weight = tf.ones(tf.shape(queries)[:1])
    if positive is None:
        positive = tf.zeros(tf.shape(queries)[:1])

    @tf.custom_gradient
    def loss_of(queries, candidates, positive, weight):
        rows, dim = tf.shape(queries)[0], queries.shape[1]
        n_blocks = (rows + block_size - 1) // block_size
        share = weight / tf.cast(rows, tf.float32)
        columns = tf.cast(candidates, matmul_dtype)
        folded = matmul_dtype == "float32"
        left, right, shift = queries, columns, tf.zeros([rows])
        if folded:
            offset = tf.zeros(tf.shape(candidates)[:1]) if log_q is None else -log_q
            bound = tf.norm(queries, axis=1) * tf.reduce_max(tf.norm(candidates, axis=1))
            spread = tf.reduce_max(offset) - tf.reduce_min(offset)
            near = 2 * tf.reduce_max(bound) + spread < _NEAR
            shift = tf.maximum(bound + tf.reduce_max(offset), positive)
            shift = tf.where(near, shift, 0.0)
            left = tf.concat([queries, tf.ones([rows, 1]), -shift[:, None]], 1)
            one = tf.ones_like(offset)[:, None]
            right = tf.concat([candidates, offset[:, None], one], 1)
            columns = tf.concat([candidates, one], 1)
        given = {
            "query": queries,
            "left": left,
            "positive": positive - shift,
            "share": share,
            "positive_index": positive_index,
            "positive_log_count": positive_log_count,
            "id": None if ids is None else ids[0],
        }
        # All blocks have one size, with padding in the last: XLA needs shapes that do not depend on
        # where a block starts.
        empty = n_blocks * block_size - rows
        padded = {
            name: tf.pad(values, [[0, empty]] + [[0, 0]] * (values.shape.rank - 1))
            for name, values in given.items()
            if values is not None
        }

        def block(i, d_candidates, *results):
            of = {
                name: _rows(values, i * block_size, block_size) for name, values in padded.items()
            }
            logits = tf.matmul(tf.cast(of["left"], matmul_dtype), right, transpose_b=True)
            logits = tf.cast(logits, tf.float32)
            if log_q is not None and not folded:
                logits -= log_q
            p = of["positive"]
            if positive_index is not None:
                positive_score = tf.gather(logits, of["positive_index"], batch_dims=1)
                p = (
                    positive_score
                    if positive_log_count is None
                    else positive_score - of["positive_log_count"]
                )
            if ids is not None:
                logits = tf.where(of["id"][:, None] == ids[1], MASKED, logits)

            def lowered():
                largest = tf.maximum(tf.reduce_max(logits, 1), p)
                return logits - largest[:, None], largest

            if folded:
                logits, largest = tf.cond(near, lambda: (logits, tf.zeros_like(p)), lowered)
            else:
                logits, largest = lowered()
            powers = tf.cast(tf.exp(logits), matmul_dtype)
            power = tf.exp(p - largest)
            counted = 0.0  # how much of p's power the sum of the powers already contains
            if positive_index is not None and ids is None:
                counted = power if positive_log_count is None else tf.exp(positive_score - largest)
            summed = tf.cast(tf.matmul(powers, columns), tf.float32)
            total = summed[:, dim] if folded else tf.reduce_sum(tf.cast(powers, tf.float32), 1)
            total += power - counted
            scale = of["share"] / total
            d_p = scale * (power - counted) - of["share"]
            d_query = summed[:, :dim] * scale[:, None]
            weighted = tf.cast(of["query"] * scale[:, None], matmul_dtype)
            part = tf.matmul(powers, weighted, transpose_a=True)
            values = (largest - p) + tf.math.log(total), d_query, d_p
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
        nll, d_queries, d_p = (
            tf.reshape(array.stack(), [-1, *shape])[:rows]
            for array, shape in zip(arrays, ([], [dim], []), strict=True)
        )
        d_positive = d_p
        if positive_index is not None:
            d_positive = tf.zeros_like(positive)
            d_queries += d_p[:, None] * tf.gather(candidates, positive_index)
            d_candidates = tf.tensor_scatter_nd_add(
                d_candidates, positive_index[:, None], d_p[:, None] * queries
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
