"""Fusion by a small transformer over the inputs."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.fusion import Fusion
from tfrec_fusion.layers.pre_norm_attention import PreNormAttention


@keras.utils.register_keras_serializable("tfrec_fusion")
class CrossAttentionFusion(Fusion):
    """A pre-LN transformer whose tokens are the inputs present; the output is their sum.

        t_m = x_m;   per layer: t += MHA(LN(t), LN(t));   t_m += W_2 gelu(W_1 (LN(t_m) + e_m))

    with e_m a trained vector per input. The residual branches start at zero, and so the fusion as
    the sum of the inputs. An absent input is no token: nothing attends to it and it is not summed.

    Pick it with three or more inputs whose meaning depends on each other (text, image, price); with
    an id and one text it has little to attend to. Source: the transformer over modality tokens as
    in MISSRec (Wang et al., MM 2023) and MMGRec-like models; pre-LN after Xiong et al., ICML 2020.

    Args:
      dim: size of the fused vector.
      heads: attention heads.
      layers: transformer layers.
      expansion: hidden units of the feed-forward part, as a multiple of `dim`.
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
        each = range(layers)
        self.attention = [PreNormAttention(dim, heads, name=f"attention_{i}") for i in each]
        self.norms = [normal(name=f"norm_{i}") for i in each]
        self.hidden = [dense(expansion * dim, "gelu", name=f"hidden_{i}") for i in each]
        self.maps = [dense(dim, kernel_initializer="zeros", name=f"output_{i}") for i in each]

    def build(self, input_shape):
        self.kinds = self.add_weight(
            "kinds", (len(input_shape), self.dim), initializer=keras.initializers.RandomNormal(0.02)
        )
        super().build(input_shape)

    def fuse(self, inputs, masks, training):
        tokens = tf.stack([inputs[name] for name in self.names], -2)
        present = tf.stack([masks[name] for name in self.names], -1)
        for attention, norm, hidden, output in zip(
            self.attention, self.norms, self.hidden, self.maps, strict=True
        ):
            tokens = attention(tokens, tokens, present)
            tokens += output(hidden(norm(tokens) + self.kinds))
        return tf.reduce_sum(tf.where(present[..., None], tokens, tf.zeros([], tokens.dtype)), -2)

    def get_config(self):
        return super().get_config() | {
            "heads": self.heads,
            "layers": self.layers,
            "expansion": self.expansion,
        }
