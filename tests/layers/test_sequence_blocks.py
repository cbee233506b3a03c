"""The blocks of sequence towers equal RecTools' with the same weights."""

from pathlib import Path

import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import HSTUBlock, LiGRBlock, RelativeBias, SASRecBlock

DAY = 86_400
# Written by benchmarks/peers/sequence_layers.py with RecTools 0.19.0.
GOLDEN = Path(__file__).parents[1] / "fixtures" / "sequence_blocks.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as found:
        return dict(found)


class Weights:
    """The weights of a block in the golden values."""

    def __init__(self, golden, name):
        self.of = {k.partition("/")[2]: v for k, v in golden.items() if k.startswith(f"{name}/")}

    def norm(self, name):
        return [self.of[f"{name}.weight"], self.of[f"{name}.bias"]]

    def dense(self, name):
        """Kernels are [inputs, outputs] in Keras."""
        bias = self.of.get(f"{name}.bias")
        return [self.of[f"{name}.weight"].T, *([] if bias is None else [bias])]

    def attention(self, name, layer):
        kernels = np.split(self.of[f"{name}.in_proj_weight"], 3)
        biases = np.split(self.of[f"{name}.in_proj_bias"], 3)
        for part, kernel, bias in zip(
            (layer.query, layer.key, layer.value), kernels, biases, strict=True
        ):
            part.set_weights([kernel.T, bias])
        layer.output_map.set_weights(self.dense(f"{name}.out_proj"))


def _present(golden):
    return tf.ones(golden["inputs"].shape[:2], tf.bool)


def test_sasrec(golden):
    block, last = SASRecBlock(8, 2, 0.0), keras.layers.LayerNormalization(epsilon=1e-8)
    last(block(golden["inputs"], _present(golden)))
    weights, prefix = Weights(golden, "sasrec"), "transformer_blocks.0"
    weights.attention(f"{prefix}.multi_head_attn", block.attention)
    block.query_norm.set_weights(weights.norm(f"{prefix}.q_layer_norm"))
    block.hidden_norm.set_weights(weights.norm(f"{prefix}.ff_layer_norm"))
    block.hidden.set_weights(weights.dense(f"{prefix}.feed_forward.ff_linear_1"))
    block.output_map.set_weights(weights.dense(f"{prefix}.feed_forward.ff_linear_2"))
    last.set_weights(weights.norm("last_layernorm"))
    found = last(block(golden["inputs"], _present(golden)))
    np.testing.assert_allclose(found, weights.of["output"], atol=1e-5)


def test_ligr(golden):
    block = LiGRBlock(8, 2, 0.0)
    block(golden["inputs"], _present(golden))
    weights = Weights(golden, "ligr")
    weights.attention("multi_head_attn", block.attention)
    block.attention_norm.set_weights(weights.norm("layer_norm_1"))
    block.hidden_norm.set_weights(weights.norm("layer_norm_2"))
    block.hidden.set_weights(weights.dense("feed_forward.ff_linear_1"))
    block.output_map.set_weights(weights.dense("feed_forward.ff_linear_2"))
    block.linear.set_weights(weights.dense("feed_forward.ff_linear_3"))
    block.attention_gate.set_weights(weights.dense("gating_linear_1"))
    block.hidden_gate.set_weights(weights.dense("gating_linear_2"))
    found = block(golden["inputs"], _present(golden))
    np.testing.assert_allclose(found, weights.of["output"], atol=1e-5)


def test_hstu(golden):
    block = HSTUBlock(8, 2, 0.0, max_len=5)
    seconds = golden["seconds"]
    ages = ((seconds[:, -1:] - seconds[:, :-1]) / DAY).astype(np.float32)
    block(golden["inputs"], _present(golden), ages)
    weights = Weights(golden, "hstu")
    block.parts.set_weights([weights.of["uvqk_proj"]])
    block.output_map.set_weights(weights.dense("output_mlp"))
    block.input_norm.set_weights(weights.norm("norm_input"))
    block.read_norm.set_weights(weights.norm("norm_attn_output"))
    # RecTools' weights of positions run from j - i = -4 to 4; ours are by i - j from 0.
    positions = weights.of["rel_attn.pos_weights"][4::-1]
    block.bias.set_weights([positions, weights.of["rel_attn.time_weights"]])
    found = block(golden["inputs"], _present(golden), ages)
    np.testing.assert_allclose(found, weights.of["output"], atol=1e-5)


def test_the_bias_by_hand():
    bias = RelativeBias(3, buckets=40)
    bias.set_weights([np.array([1.0, 2.0, 3.0]), np.arange(41) / 100])
    # The last of three events is one day before the request, the others are 10 and 4 days.
    found = bias(tf.constant([[10.0, 4.0, 1.0]])).numpy()[0]
    # Query 2 asks at age 0: keys 1 and 4 days old, in buckets floor(ln(86400) / .301) = 37 and
    # floor(ln(345600) / .301) = 42, of which the last is 40.
    np.testing.assert_allclose(found[2, [2, 1]], [1 + 0.37, 2 + 0.40], rtol=1e-6)
    # Query 0 asks at the age of the event after it: 6 days later.
    np.testing.assert_allclose(found[0, 0], 1 + 0.40, rtol=1e-6)
    # Two events at once: bucket 0.
    found = bias(tf.constant([[4.0, 4.0]])).numpy()[0]
    np.testing.assert_allclose(found[0, 0], 1.0, rtol=1e-6)


def test_padding_is_not_read():
    keras.utils.set_random_seed(0)
    values = tf.random.normal([1, 5, 8])
    present = tf.constant([[False, False, True, True, True]])
    ages = tf.constant([[0.0, 0.0, 3.0, 2.0, 1.0]])
    changed = tf.concat([values[:, :2] + 9.0, values[:, 2:]], 1)
    for block in (SASRecBlock(8, 2, 0.0), LiGRBlock(8, 2, 0.0), HSTUBlock(8, 2, 0.0)):
        more = [ages] if isinstance(block, HSTUBlock) else []
        one, other = (block(given, present, *more)[:, 2:] for given in (values, changed))
        np.testing.assert_allclose(one, other, atol=1e-6)
