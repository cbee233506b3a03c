"""Fusion where the id learns only what content leaves open."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion
from tfrec_fusion.layers.leading import leading_columns


@keras.utils.register_keras_serializable("tfrec_fusion")
class NullSpaceFusion(Fusion):
    """`c + [0; id]`: content that is not trained, and an id that changes its last `k` columns only.

    c is the content's leading `dim` columns, strong to weak when the model whitens it (which also
    standardises them: `whitening_dim` must not be None); of several contents the columns in turn.
    The id has `k` columns, so its table is smaller, and it cannot disturb what content says
    strongly.

    Pick it when content is good and events are few: cold and warm items agree in the leading
    columns. Source: AlphaFuse (Hu et al., SIGIR 2025), which keeps 128 components and learns 64.

    Args:
      dim: size of the fused vector.
      k: columns that the id learns, at most `dim`; None takes half of them.
      cover: whether the id takes the place of those columns of the content instead of adding to
        them.
    """

    def __init__(self, dim: int, k: int | None = None, cover: bool = False, **kwargs):
        super().__init__(dim, **kwargs)
        if k is not None and not 1 <= k <= dim:
            raise ValueError(f"k must be from 1 to dim={dim}, or None. Received: {k}")
        self.k, self.cover = k, cover

    @property
    def id_dim(self) -> int:
        return self.k or -(-self.dim // 2)

    def fuse(self, inputs, masks, training):
        parts, front = [], self.dim - self.id_dim
        if self.contents:
            content = leading_columns([inputs[name] for name in self.contents], self.dim)
            if self.cover:
                content *= tf.cast(tf.range(self.dim) < front, content.dtype)
            parts.append(content)
        if "id" in inputs:
            ids = inputs["id"]
            parts.append(tf.pad(ids, [[0, 0]] * (ids.shape.rank - 1) + [[front, 0]]))
        return tf.add_n(parts)

    def get_config(self):
        return super().get_config() | {"k": self.k, "cover": self.cover}
