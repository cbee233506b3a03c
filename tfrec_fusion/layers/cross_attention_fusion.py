"""Fusion by a small transformer over the inputs."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion
from tfrec_fusion.layers.pre_norm_attention import PreNormAttention


@keras.utils.register_keras_serializable("tfrec_fusion")
class CrossAttentionFusion(Fusion):
    """Fuses by a pre-LN transformer whose tokens are the present inputs; outputs their sum.

        t_m = x_m;   per layer: t += MHA(LN(t), LN(t));   t_m += W_2 gelu(W_1 LN(t_m) + e_m)

    The bias e_m of each input distinguishes the inputs. The residual branches are initialised to
    zero, so the fusion starts as the sum. An absent input is not a token: it is neither attended to
    nor summed.

    Use it with three or more inputs whose meaning depends on each other (text, image, price); with
    an id and one text there is little to attend to. Source: the encoder of Vaswani et al., NeurIPS
    2017, with one token per input; pre-LN after Xiong et al., ICML 2020.

    Args:
      dim: size of the fused vector.
      heads: number of attention heads.
      layers: number of transformer layers.
      expansion: hidden units of the feed-forward network, as a multiple of `dim`.
    """

    projected = True

    def __init__(self, dim: int, heads: int = 4, layers: int = 1, expansion: int = 2, **kwargs):
        super().__init__(dim, **kwargs)
        if min(heads, layers, expansion) < 1:
            raise ValueError(
                "heads, layers and expansion must be at least 1. "
                f"Received: {heads}, {layers}, {expansion}"
            )
        self.heads, self.layers, self.expansion = heads, layers, expansion
        dense, normal = keras.layers.Dense, keras.layers.LayerNormalization
        each, policy = range(layers), {"dtype": self.dtype_policy}
        self.attention = [
            PreNormAttention(dim, heads, name=f"attention_{i}", **policy) for i in each
        ]
        self.norms = [normal(name=f"norm_{i}", **policy) for i in each]
        self.hidden = [
            dense(expansion * dim, use_bias=False, name=f"hidden_{i}", **policy) for i in each
        ]
        self.maps = [
            dense(dim, kernel_initializer="zeros", name=f"output_{i}", **policy) for i in each
        ]

    def build(self, input_shape):
        size = (self.layers, len(input_shape), self.expansion * self.dim)
        self.biases = self.add_weight("biases", size, initializer="zeros")
        super().build(input_shape)

    def fuse(self, inputs, masks, training):
        tokens = tf.stack([inputs[name] for name in self.names], -2)
        present = tf.stack([masks[name] for name in self.names], -1)
        for i, attention in enumerate(self.attention):
            tokens = attention(tokens, tokens, present)
            hidden = self.hidden[i](self.norms[i](tokens)) + self.biases[i]
            tokens += self.maps[i](tf.nn.gelu(hidden))
        return tf.reduce_sum(tf.where(present[..., None], tokens, tf.zeros([], tokens.dtype)), -2)

    def get_config(self):
        return super().get_config() | {
            "heads": self.heads,
            "layers": self.layers,
            "expansion": self.expansion,
        }
