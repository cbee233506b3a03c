"""Fusion of frozen content with an id that trains only its last columns."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion
from tfrec_fusion.layers.leading import leading_columns


@keras.utils.register_keras_serializable("tfrec_fusion")
class NullSpaceFusion(Fusion):
    """Adds a trained id to the last `k` columns of frozen content: `c + [0; id]`.

    c is the content's leading `dim` columns (interleaved for several contents). Whitening orders
    them from high to low variance and standardises them, so `whitening_dim` must not be None. The
    id has only `k` columns, so its table is smaller, and it cannot change the leading columns.

    Use it if content is good and events are few: cold and warm items share the leading columns.
    Source: AlphaFuse (Hu et al., SIGIR 2025), which keeps 128 components and trains 64.

    Args:
      dim: size of the fused vector.
      k: number of columns of the id, at most `dim`; None means half of `dim`.
      cover: whether the id replaces these columns of the content instead of adding to them.
    """

    frozen_content = True

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
