"""Fusion of frozen content and a bounded change of it."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion
from tfrec_fusion.layers.leading import leading_columns


@keras.utils.register_keras_serializable("tfrec_fusion")
class DeltaFusion(Fusion):
    """`c / |c| + id * min(1, bound / |id|)`: content that is not trained, and a change to it.

    c is the content's leading `dim` columns (of several contents in turn, and zeros where there are
    no more), so the model's `whitening_dim` decides what is kept. An item without content is its id
    alone, unbounded: there is nothing to stay near. An item without an id is c / |c|.

    The id is bounded in the forward pass and not by a Keras constraint: a constraint sweeps the
    whole table after every step and refuses sparse gradients, while this touches the batch's rows
    alone. Scores, saved models and exports all go through it, so they agree with training.

    Pick it when cold items matter most: warm items can only move so far from where the content puts
    them, so both stay in one space. Source: let-it-go (ArtemF42/let-it-go, RecSys 2025), bound .5.

    With `bound=None` it is LLM-initialised IDs: ids that start as the content's leading principal
    components and then move freely. A frozen start plus a free change that begins at about zero
    passes through the same vectors as a trained table that begins at the start: both get the same
    gradient, and an optimizer's step depends on gradients alone. Only weight decay differs: on the
    change it pulls back to the content instead of to zero. And a cold item keeps its start.

    Args:
      dim: size of the fused vector.
      bound: largest length of the change, as a multiple of the content's; None for no bound.
    """

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
