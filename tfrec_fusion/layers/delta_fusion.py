"""Fusion of frozen content and a bounded trained change."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion
from tfrec_fusion.layers.leading import leading_columns


@keras.utils.register_keras_serializable("tfrec_fusion")
class DeltaFusion(Fusion):
    """Adds a bounded trained id to frozen unit content: `c / |c| + id * min(1, bound / |id|)`.

    c is the content's leading `dim` columns (interleaved for several contents, padded with zeros),
    so the model's `whitening_dim` decides what it contains. An item without content is its id
    alone, unbounded. An item without an id is c / |c|.

    The forward pass bounds the id, rather than a Keras constraint: a constraint would update the
    whole table after every step and does not support sparse gradients; this touches only the rows
    of the batch. Scores, saved models and exports apply the same bound as training.

    Use it if cold items matter most: warm items stay within `bound` of their content, so both share
    one space. Source: let-it-go (ArtemF42/let-it-go, RecSys 2025), bound .5.

    With `bound=None` it is the method of LLM-initialised ids: ids that start at the content's
    leading principal components and then train freely. A frozen start plus a free change near zero
    trains like a table initialised at the start, because both get the same gradients. Only weight
    decay differs: it pulls the change back to the content instead of to zero. Cold items keep their
    start.

    Args:
      dim: size of the fused vector.
      bound: maximum length of the change, relative to the content's length; None for no bound.
    """

    frozen_content = True

    def __init__(self, dim: int, bound: float | None = 0.5, **kwargs):
        super().__init__(dim, **kwargs)
        if bound is not None and bound <= 0:
            raise ValueError(f"bound must be positive or None. Received: {bound}")
        self.bound = bound

    def fuse(self, inputs, masks, training):
        if not self.contents:
            return inputs["id"]
        content = leading_columns([inputs[name] for name in self.contents], self.dim)
        content = tf.math.l2_normalize(tf.cast(content, tf.float32), -1)
        if "id" not in inputs:
            return tf.cast(content, self.compute_dtype)
        change = tf.cast(inputs["id"], tf.float32)
        if self.bound is not None:
            present = tf.reduce_any(tf.stack([masks[name] for name in self.contents], -1), -1)
            square = tf.reduce_sum(change**2, -1, keepdims=True)
            # The maximum under the root keeps the gradient finite where the id is zero.
            share = self.bound * tf.math.rsqrt(tf.maximum(square, self.bound**2))
            change *= tf.where(present[..., None], share, 1.0)
        return tf.cast(content + change, self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"bound": self.bound}
