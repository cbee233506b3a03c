"""Leading columns of content vectors."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import tf


def leading_columns(contents: Sequence[tf.Tensor], dim: int) -> tf.Tensor:
    """Interleaves the leading columns of contents `[..., d_m]` into `[..., dim]`.

    Column 0 of each content comes first, then column 1 of each, and so on. Whitened contents order
    columns from high to low variance, and so does the result. Missing columns are zero.
    """
    each = -(-dim // len(contents))
    cut = []
    for content in contents:
        content = content[..., :each]
        missing = each - content.shape[-1]
        cut.append(tf.pad(content, [[0, 0]] * (content.shape.rank - 1) + [[0, missing]]))
    stacked = tf.stack(cut, -1)
    shape = tf.concat([tf.shape(stacked)[:-2], [each * len(contents)]], 0)
    return tf.reshape(stacked, shape)[..., :dim]
