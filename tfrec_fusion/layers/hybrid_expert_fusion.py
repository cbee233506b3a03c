"""Fusion by KAR's hybrid experts."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion


@keras.utils.register_keras_serializable("tfrec_fusion")
class HybridExpertFusion(Fusion):
    """Fuses by shared and specific experts: `id + sum_m (x_m + sum_e g_me(x_m) E_e(x_m))`.

    For each content m, e runs over the shared experts and the experts specific to m.
    `E(x) = B relu(A x + a) + b` and `g_m = softmax(G_m x_m)`: a multi-gate mixture whose shared
    experts learn what the sources have in common. B, b and G are initialised to zero, so the fusion
    starts as the sum.

    Use it with several content sources of different quality, e.g. a title and an LLM's summary.
    Source: the hybrid-expert adaptor of KAR (Xi et al., RecSys 2024), with an added residual, and
    sums where KAR concatenates.

    Args:
      dim: size of the fused vector.
      shared: number of experts shared by all contents.
      specific: number of further experts for each content.
      hidden: hidden units of an expert; None means `dim`.
    """

    projected = True

    def __init__(
        self, dim: int, shared: int = 2, specific: int = 2, hidden: int | None = None, **kwargs
    ):
        super().__init__(dim, **kwargs)
        if shared < 0 or specific < 0 or shared + specific < 1:
            raise ValueError(
                "shared and specific must be 0 or more and sum to at least 1. "
                f"Received: shared={shared}, specific={specific}"
            )
        if hidden is not None and hidden < 1:
            raise ValueError(f"hidden must be at least 1 or None. Received: {hidden}")
        self.shared, self.specific, self.hidden = shared, specific, hidden

    def build(self, input_shape):
        sources = len([name for name in input_shape if name != "id"])
        hidden = self.hidden or self.dim
        self.weights_of = {}
        for name, size, initializer in (
            ("in", (self.dim, hidden), "glorot_uniform"),
            ("in_bias", (1, hidden), "zeros"),
            ("out", (hidden, self.dim), "zeros"),
            ("out_bias", (1, self.dim), "zeros"),
        ):
            for owner, experts in (("shared", self.shared), ("specific", sources * self.specific)):
                if experts:
                    self.weights_of[f"{owner}_{name}"] = self.add_weight(
                        f"{owner}_{name}", (experts, *size), initializer=initializer
                    )
        self.gates = self.add_weight(
            "gates", (sources, self.dim, self.shared + self.specific), initializer="zeros"
        )
        super().build(input_shape)

    def fuse(self, inputs, masks, training):
        parts = [inputs["id"]] if "id" in inputs else []
        for place, name in enumerate(self.contents):
            content = self._adapted(place, inputs[name])
            parts.append(tf.where(masks[name][..., None], content, tf.zeros([], content.dtype)))
        return tf.add_n(parts)

    def _adapted(self, place: int, content):
        logits = tf.cast(tf.tensordot(content, self.gates[place], 1), tf.float32)
        shares = tf.cast(tf.nn.softmax(logits), content.dtype)
        # The gradient of an einsum over "..." would store one kernel per row.
        rows = tf.reshape(content, [-1, self.dim])
        hidden = tf.einsum("bi,eih->beh", rows, self._experts("in", place))
        hidden = tf.nn.relu(hidden + self._experts("in_bias", place)[:, 0])
        out = tf.einsum("beh,eho->beo", hidden, self._experts("out", place))
        out += self._experts("out_bias", place)[:, 0]
        out = tf.reshape(out, tf.concat([tf.shape(shares), [self.dim]], 0))
        return content + tf.reduce_sum(shares[..., None] * out, -2)

    def _experts(self, name: str, place: int):
        """Stacks a weight of the shared experts and of those specific to the content `place`."""
        mine = slice(place * self.specific, (place + 1) * self.specific)
        found = []
        if self.shared:
            found.append(tf.convert_to_tensor(self.weights_of[f"shared_{name}"]))
        if self.specific:
            found.append(tf.convert_to_tensor(self.weights_of[f"specific_{name}"])[mine])
        return tf.concat(found, 0)

    def get_config(self):
        return super().get_config() | {
            "shared": self.shared,
            "specific": self.specific,
            "hidden": self.hidden,
        }
