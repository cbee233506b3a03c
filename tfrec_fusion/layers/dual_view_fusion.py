"""Fusion of an id view and a content view that attend to each other."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion
from tfrec_fusion.layers.pre_norm_attention import PreNormAttention


@keras.utils.register_keras_serializable("tfrec_fusion")
class DualViewFusion(Fusion):
    """Fuses an id view and a content view that attend to each other: `W [id'; sum_m c'_m]`.

        c_m = x_m + B gelu(A x_m)                       the adapted content
        id' = id + attention(id, all c),   c'_m = c_m + attention(c_m, id)

    W is initialised to `[I; I]`, and B and the attentions' outputs to zero, so the fusion starts as
    the sum. An item without an id is its adapted content alone.

    Use it if ids and content disagree on which items are similar. Source: the dual view of LLM-ESR
    (Liu et al., NeurIPS 2024). There the attention runs along a user's sequence and the views are
    concatenated; here it runs inside an item, and W mixes the views into one vector. LLM-ESR's
    adapter is two linear maps in a row, equivalent to one; here an activation lies between them.

    Args:
      dim: size of the fused vector.
      heads: number of attention heads.
    """

    projected = True

    def __init__(self, dim: int, heads: int = 4, **kwargs):
        super().__init__(dim, **kwargs)
        self.heads = heads
        policy = {"dtype": self.dtype_policy}
        self.to_content = PreNormAttention(dim, heads, name="id_to_content", **policy)
        self.to_id = PreNormAttention(dim, heads, name="content_to_id", **policy)
        self.hidden = keras.layers.Dense(dim, "gelu", name="adapter_hidden", **policy)
        self.adapter = keras.layers.Dense(dim, kernel_initializer="zeros", name="adapter", **policy)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            "kernel", (2 * self.dim, self.dim), initializer=_two_identities
        )
        super().build(input_shape)

    def fuse(self, inputs, masks, training):
        zero = tf.zeros([], self.compute_dtype)
        views = {"id": tf.zeros_like(next(iter(inputs.values())))}
        views["content"] = views["id"]
        ids = inputs["id"][..., None, :] if "id" in inputs else None
        if self.contents:
            content = tf.stack([inputs[name] for name in self.contents], -2)
            present = tf.stack([masks[name] for name in self.contents], -1)
            content += self.adapter(self.hidden(content))
        if ids is not None:
            has_id = masks["id"][..., None]
            seen = self.to_content(ids, content, present) if self.contents else ids
            views["id"] = tf.where(has_id, seen[..., 0, :], zero)
        if self.contents:
            seen = self.to_id(content, ids, has_id) if ids is not None else content
            views["content"] = tf.reduce_sum(tf.where(present[..., None], seen, zero), -2)
        return tf.tensordot(tf.concat([views["id"], views["content"]], -1), self.kernel, 1)

    def get_config(self):
        return super().get_config() | {"heads": self.heads}


def _two_identities(shape, dtype=None):
    return tf.constant(np.concatenate([np.eye(shape[1])] * 2), dtype)
