"""Losses of rows in blocks, without storing what belongs to all scores at once."""

from __future__ import annotations

from collections.abc import Callable

from tfrec_fusion._compat import tf
from tfrec_fusion.models.objectives.targets import Targets

SCORES = 1 << 22
"""Scores of a block, rows x candidates: 16 MiB of float32."""


def losses_in_blocks(
    call: Callable[[Targets, tf.Tensor], tf.Tensor],
    targets: Targets,
    rows: tf.Tensor,
    items: tf.Tensor | None = None,
    *,
    pairwise: bool = False,
) -> tf.Tensor:
    """Computes the loss of each row, `[B]` float32, some rows at a time.

    Memory holds the intermediate values of one block, of about `SCORES` scores. The backward pass
    computes them again, so evaluation pays nothing for it.

    Args:
      call: function of targets and scores `[b, C]` that returns the losses `[b]` float32 of these
        rows, which do not depend on other rows.
      targets: of all B rows.
      rows: the scores `[B, C]`, or vectors of users `[B, D]`.
      items: vectors of the candidates `[C, D]` if `rows` are vectors.
      pairwise: whether `call` holds a value of each target and candidate, which makes blocks
        smaller by the mean number of targets of a row.
    """

    def of_block(block, part, shared):
        return call(block, tf.matmul(part, shared[0], transpose_b=True) if shared else part)

    @tf.custom_gradient
    def losses_of(rows, *shared):
        count = tf.shape(rows)[0]
        n_candidates = tf.shape(shared[0])[0] if shared else tf.shape(rows)[1]
        width = tf.maximum(n_candidates, 1)
        if pairwise:
            width *= tf.maximum(tf.shape(targets.target)[0] // tf.maximum(count, 1), 1)
        size = tf.maximum(SCORES // width, 1)
        n_blocks = (count + size - 1) // size

        def place(i):
            return i * size, tf.minimum((i + 1) * size, count)

        def loop(body, *start):
            # One block after the other: several at once would hold several blocks.
            return tf.while_loop(
                lambda i, *_: i < n_blocks, body, (0, *start), parallel_iterations=1
            )[1:]

        def array(shape):
            return tf.TensorArray(
                tf.float32, n_blocks, infer_shape=False, element_shape=[None, *shape]
            )

        def forward(i, losses):
            start, stop = place(i)
            found = of_block(targets.between(start, stop), rows[start:stop], shared)
            return i + 1, losses.write(i, found)

        def gradient(upstream):
            def backward(i, of_rows, *of_shared):
                start, stop = place(i)
                part = rows[start:stop]
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch([part, *shared])
                    found = of_block(targets.between(start, stop), part, shared)
                one, *more = tape.gradient(
                    found,
                    [part, *shared],
                    output_gradients=upstream[start:stop],
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )
                of_rows = of_rows.write(i, tf.cast(one, tf.float32))
                added = [a + tf.convert_to_tensor(b) for a, b in zip(of_shared, more, strict=True)]
                return i + 1, of_rows, *added

            zeros = [tf.zeros_like(one) for one in shared]
            of_rows, *of_shared = loop(backward, array(rows.shape[1:]), *zeros)
            return [tf.cast(of_rows.concat(), rows.dtype), *of_shared]

        return loop(forward, array([]))[0].concat(), gradient

    return losses_of(rows, *([] if items is None else [items]))
