"""Fusion by UniSRec's mixture-of-experts adapter."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.draws import add_draws, next_seed
from tfrec_fusion.layers.fusion import Fusion

_NOISE_FLOOR = 1e-2


@keras.utils.register_keras_serializable("tfrec_fusion")
class ExpertFusion(Fusion):
    """Fuses by a mixture of experts: `id + sum_m sum_e g_e(x_m) W_e (drop(x_m) - b_e)`.

    Each content x_m has its own experts e. An expert is a parametric whitening: b_e shifts the
    content and W_e rotates and scales it. The gates are
    `g = softmax(x G + noise * (softplus(x S) + .01))`, with standard normal noise in training only.
    G, S and b are initialised to zero and every W_e near one orthogonal map, so the fusion starts
    as the sum.

    Use it if content covers several domains or languages that need different maps.
    Source: UniSRec, Hou et al., KDD 2022 (8 experts, dropout .2, ids added in "transductive" use).

    Args:
      dim: size of the fused vector.
      experts: number of experts for each content.
      dropout: dropout rate in [0, 1) of the content at the input of each expert.
      noise: whether the gates are noisy in training.
    """

    def __init__(self, dim: int, experts: int = 8, dropout: float = 0.2, noise=True, **kwargs):
        super().__init__(dim, **kwargs)
        if experts < 1 or not 0 <= dropout < 1:
            raise ValueError(
                f"experts must be at least 1 and dropout in [0, 1). Received: {experts}, {dropout}"
            )
        self.experts, self.dropout, self.noise = experts, dropout, noise

    def build(self, input_shape):
        self.kernels, self.offsets, self.gates, self.spreads = {}, {}, {}, {}
        for name, shape in sorted(input_shape.items()):
            if name == "id":
                continue
            width = shape[-1]
            self.kernels[name] = self.add_weight(
                f"kernel_{name}", (self.experts, width, self.dim), initializer=_near_one_map
            )
            for kind, weights, size in (
                ("offset", self.offsets, (self.experts, width)),
                ("gate", self.gates, (width, self.experts)),
                ("spread", self.spreads, (width, self.experts)),
            ):
                weights[name] = self.add_weight(f"{kind}_{name}", size, initializer="zeros")
        if self.dropout or self.noise:
            self.draws = add_draws(self)
        super().build(input_shape)

    def fuse(self, inputs, masks, training):
        parts = [inputs["id"]] if "id" in inputs else []
        for name in self.contents:
            content = self._adapted(name, inputs[name], training)
            parts.append(tf.where(masks[name][..., None], content, tf.zeros([], content.dtype)))
        return tf.add_n(parts)

    def _adapted(self, name, content, training):
        shares = tf.cast(self._shares(name, content, training), content.dtype)
        each = content[..., None, :]
        if training and self.dropout:
            shape = tf.concat([tf.shape(content)[:-1], [self.experts, content.shape[-1]]], 0)
            draw = tf.random.stateless_uniform(shape, next_seed(self.draws))
            kept = tf.cast(draw >= self.dropout, content.dtype)
            each *= kept / (1 - self.dropout)
        # The gradient of an einsum over "..." would store one kernel per row.
        weighted = (each - self.offsets[name]) * shares[..., None]
        return tf.tensordot(weighted, self.kernels[name], 2)

    def _shares(self, name, content, training):
        logits = tf.cast(tf.tensordot(content, self.gates[name], 1), tf.float32)
        if training and self.noise:
            spread = tf.nn.softplus(
                tf.cast(tf.tensordot(content, self.spreads[name], 1), tf.float32)
            )
            draw = tf.random.stateless_normal(tf.shape(logits), next_seed(self.draws))
            logits += draw * (spread + _NOISE_FLOOR)
        return tf.nn.softmax(logits)

    def get_config(self):
        return super().get_config() | {
            "experts": self.experts,
            "dropout": self.dropout,
            "noise": self.noise,
        }


def _near_one_map(shape, dtype=None):
    """Initialises all experts to one orthogonal map plus noise that makes them differ."""
    one = keras.initializers.Orthogonal()(shape[1:], dtype)
    spread = 0.5 / max(shape[1:]) ** 0.5
    return one + tf.random.normal(shape, stddev=spread, dtype=one.dtype)
