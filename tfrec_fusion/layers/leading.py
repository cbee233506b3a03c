"""Content as it is, cut to a size."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import tf


def leading_columns(contents: Sequence[tf.Tensor], dim: int) -> tf.Tensor:
    """The leading columns of one or several contents `[..., d_m]`, in turn, as `[..., dim]`.

    Column 0 of each content comes first, then column 1 of each, ..., so that of whitened contents,
    whose columns go from strong to weak, the last columns are the weakest of all. Columns that no
    content has are zero.
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
