"""Backbones equal FuxiCTR's and DeepCTR-Torch's layers with the same weights."""

from pathlib import Path

import numpy as np
import pytest

from tfrec_fusion._compat import tf, tfrs
from tfrec_fusion.layers import DotProducts, MixtureOfExperts, TargetAttention
from tfrec_fusion.models import (
    BST,
    DLRM,
    GDCN,
    AutoInt,
    DCNv2,
    DeepFM,
    FinalMLP,
    FinalNet,
    MaskNet,
    XDeepFM,
)

# Written by benchmarks/peers/ranker_layers.py with FuxiCTR 2.3.10, its repository's model_zoo at
# 0245987, and DeepCTR-Torch 0.3.0.
GOLDEN = Path(__file__).parents[1] / "fixtures" / "ranker_layers.npz"


class Case:
    """The weights, inputs and output of one peer; items are the axis N = 1 of a ranker."""

    def __init__(self, golden, name):
        self.golden = golden
        self.of = {k.partition("/")[2]: v for k, v in golden.items() if k.startswith(f"{name}/")}
        self.output = self.of["output"]

    @property
    def inputs(self):
        """What a backbone reads; sorted by name, the fields are in the order of the peer's."""
        fields = self.golden["fields"][:, None]
        named = {name: fields[:, :, place] for place, name in enumerate(("item", "k", "p", "user"))}
        # The last field is the same for all items of a row, so it has the axis of items of size 1.
        return {
            "x0": tf.constant(fields.reshape(len(fields), 1, -1)),
            "fields": {name: tf.constant(values) for name, values in named.items()},
            "features": {},
            "numbers": tf.zeros([len(fields), 1, 0]),
        }

    def dense(self, name):
        """Kernels are [inputs, outputs] in Keras."""
        bias = self.of.get(f"{name}.bias")
        return [self.of[f"{name}.weight"].T, *([] if bias is None else [bias])]

    def mlp(self, name, layer):
        """Of FuxiCTR's blocks, where each second layer is an activation."""
        for index, dense in enumerate(layer.dense):
            dense.set_weights(self.dense(f"{name}.mlp.{2 * index}"))

    def norm(self, name):
        return [self.of[f"{name}.weight"], self.of[f"{name}.bias"]]


@pytest.fixture(scope="module")
def case():
    with np.load(GOLDEN) as found:
        golden = dict(found)
    return lambda name: Case(golden, name)


def _equal(found, expected):
    np.testing.assert_allclose(np.squeeze(found, 1), expected, rtol=1e-5, atol=1e-5)


def test_crosses(case):
    peer = case("cross")
    backbone, x0 = DCNv2(2, [], rank="full"), peer.inputs["x0"]
    backbone(x0)
    for index, layer in enumerate(backbone.crosses):
        layer.set_weights(peer.dense(f"cross_layers.{index}"))
    # Without deep layers the deep output is x_0.
    _equal(backbone(x0)[..., : x0.shape[-1]], peer.output)


def test_a_mixture_of_crosses(case):
    peer = case("cross_mixture")
    backbone, x0 = DCNv2(2, [], structure="stacked", rank=3, experts=4), peer.inputs["x0"]
    backbone(x0)
    for index, layer in enumerate(backbone.crosses):
        down, inner, up = (peer.of[f"{name}_list.{index}"] for name in "VCU")
        joint = [len(layer.get_weights()[0]), -1]
        layer.down.assign(down.transpose(1, 0, 2).reshape(joint))
        layer.inner.assign(inner.transpose(0, 2, 1))
        layer.up.assign(up.transpose(0, 2, 1).reshape(joint[::-1]))
        layer.bias.assign(peer.of[f"bias.{index}"][:, 0])
        gates = [peer.of[f"gating.{expert}.weight"] for expert in range(4)]
        layer.gate.set_weights([np.concatenate(gates).T])
    _equal(backbone(x0), peer.output)


def test_gated_crosses(case):
    peer = case("gated_cross")
    backbone, x0 = GDCN(2, [], structure="stacked"), peer.inputs["x0"]
    backbone(x0)
    for index, layer in enumerate(backbone.crosses):
        layer.cross.set_weights([*peer.dense(f"w.{index}"), peer.of[f"b.{index}"]])
        layer.gate.set_weights(peer.dense(f"wg.{index}"))
    _equal(backbone(x0), peer.output)


def test_a_factorization_machine(case):
    peer = case("machine")
    width = peer.inputs["x0"].shape[-1]
    _equal(DeepFM([])(peer.inputs)[..., width : width + 1], peer.output)


def test_a_compressed_interaction_network(case):
    peer = case("compressed")
    backbone, width = XDeepFM([5, 3], []), peer.inputs["x0"].shape[-1]
    backbone(peer.inputs)
    fields = (4, 5)  # of the layer before
    for index, layer in enumerate(backbone.interactions.dense):
        kernel, bias = (peer.of[f"cin_layer.layer_{index + 1}.{n}"] for n in ("weight", "bias"))
        assert kernel.shape[1] == 4 * fields[index]
        layer.set_weights([kernel[..., 0].T, bias])
    pooled = backbone(peer.inputs)[..., width : width + 8]
    kernel, bias = peer.dense("fc")
    _equal(pooled @ kernel + bias, peer.output)


def test_attention_of_fields(case):
    peer = case("attention")
    backbone = AutoInt(2, 4, hidden=[])
    backbone(peer.inputs)
    for index, layer in enumerate(backbone.attention):
        names = ("W_Query", "W_key", "W_Value", "W_Res")
        layer.maps.set_weights([np.concatenate([peer.of[f"{index}.{n}"] for n in names], 1)])
    _equal(backbone(peer.inputs), peer.output.reshape(5, -1))


def test_dlrm(case):
    peer = case("dlrm")
    inputs = peer.inputs | {"numbers": tf.constant(peer.golden["numbers"][:, None])}
    backbone = DLRM([5], [4])
    backbone(inputs)
    peer.mlp("bottom", backbone.numbers)
    kernel, bias = peer.dense("top.mlp.0")
    # FuxiCTR's pairs are (0, 1), (0, 2), ..., (3, 4); then comes the field of the numbers.
    place = {pair: row for row, pair in enumerate(zip(*np.triu_indices(5, 1), strict=True))}
    ours = [place[j, i] for i, j in zip(*np.tril_indices(5, -1), strict=True)]
    backbone.top.dense[0].set_weights([np.concatenate([kernel[10:], kernel[ours]]), bias])
    _equal(backbone(inputs), peer.output)


def test_dot_products_are_those_of_tfrs():
    fields = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    expected = tfrs.layers.feature_interaction.DotInteraction()(tf.unstack(fields, axis=1))
    np.testing.assert_allclose(DotProducts()(fields), expected, rtol=1e-5)


@pytest.mark.parametrize("structure", ["serial", "parallel"])
def test_mask_net(case, structure):
    peer = case(f"mask_{structure}")
    serial = structure == "serial"
    hidden, reduction = ([8, 5], 1) if serial else ([5], 2)
    backbone = MaskNet(structure, hidden, 2, 6, reduction)
    backbone(peer.inputs)
    for index, block in enumerate(backbone.mask_blocks):
        name = f"network.mask_blocks.{index}"
        block.mask_hidden.set_weights(peer.dense(f"{name}.mask_layer.0"))
        block.mask.set_weights(peer.dense(f"{name}.mask_layer.2"))
        block.linear.set_weights(peer.dense(f"{name}.hidden_layer.0"))
        block.norm.set_weights(peer.norm(f"{name}.hidden_layer.1"))
    for index, norm in enumerate(backbone.norms):
        norm.set_weights(peer.norm(f"emb_norm.{index}"))
    if not serial:
        peer.mlp("network.dnn", backbone.deep)
    _equal(backbone(peer.inputs), peer.output)


def test_final_mlp(case):
    peer = case("final_mlp")
    backbone = FinalMLP([8, 6], 2, ("user", "item"), [7])
    backbone(peer.inputs)
    for index in range(2):
        peer.mlp(f"network_{index}", backbone.networks[index])
        peer.mlp(f"gate_{index}", backbone.gate_networks[index])
        backbone.gate_layers[index].set_weights(peer.dense(f"gate_{index}.mlp.2"))
    backbone.aggregation.kernel.assign(peer.of["product.w_xy"].reshape(2, 3, 3))
    # FuxiCTR's layer adds up what is a representation here.
    one, other, products = tf.split(backbone(peer.inputs), [6, 6, 2], -1)
    (first, bias), (second, more) = peer.dense("product.w_x"), peer.dense("product.w_y")
    logit = one @ first + bias + other @ second + more
    _equal(logit + tf.reduce_sum(products, -1, keepdims=True), peer.output)


@pytest.mark.parametrize("residual", ["concat", "sum"])
def test_final_net(case, residual):
    peer = case(f"final_{residual}")
    backbone, x0 = FinalNet(1, [8, 6], residual), peer.inputs["x0"]
    backbone(x0)
    for index, layer in enumerate(backbone.networks[0].interactions):
        layer.linear.set_weights(peer.dense(f"layer.{index}.linear"))
        moving = [peer.of[f"norm.{index}.running_{name}"] for name in ("mean", "var")]
        norm = backbone.networks[0].norms[index]
        norm.set_weights([*peer.norm(f"norm.{index}"), *moving])
    _equal(backbone(x0), peer.output)


def test_a_mixture_of_experts_with_two_gates(case):
    peer = case("mixture")
    layer, x0 = MixtureOfExperts(3, [8, 5], 2, [4]), peer.inputs["x0"]
    layer(x0)
    for index, expert in enumerate(layer.experts):
        peer.mlp(f"experts.{index}", expert)
    for index, (network, gate) in enumerate(zip(layer.gate_networks, layer.gates, strict=True)):
        peer.mlp(f"gate.{index}", network)
        kernel, bias = peer.dense(f"gate.{index}.mlp.2")
        assert not bias.any()
        gate.set_weights([kernel])
    _equal(layer(x0), peer.output)


@pytest.mark.parametrize(
    ("name", "hidden", "softmax"), [("din", [8, 4], False), ("din_softmax", [8], True)]
)
def test_target_attention(case, name, hidden, softmax):
    peer = case(name)
    layer = TargetAttention(hidden, softmax=softmax)
    given = (peer.golden["item"][:, None], peer.golden["history"], peer.golden["present"])
    layer(*given)
    kernel, bias = peer.dense("attention_layer.mlp.0")
    item, event, difference, product = np.split(kernel, 4)
    # W [t, h, t - h, t * h] = (W_1 + W_3) t + (W_2 - W_3) h + W_4 (t * h)
    layer.of_item.set_weights([item + difference])
    layer.of_event.set_weights([event - difference, bias])
    layer.of_product.set_weights([product])
    for index, dense in enumerate(layer.deeper.dense):
        dense.set_weights(peer.dense(f"attention_layer.mlp.{2 * index + 2}"))
    layer.last.set_weights(peer.dense(f"attention_layer.mlp.{2 * len(hidden)}"))
    _equal(layer(*given), peer.output)


def test_bst(case):
    peer = case("bst")
    history, present = peer.golden["history"], peer.golden["present"]
    inputs = {
        "x0": tf.zeros([5, 1, 0]),
        "fields": {"item": tf.constant(peer.golden["item"][:, None])},
        "history": {
            "vectors": tf.constant(history),
            "present": tf.constant(present),
            "ages": tf.zeros(present.shape),
        },
    }
    backbone = BST(2, 2, "order", 4, max_len=7, hidden=[])
    backbone(inputs)
    # FuxiCTR counts positions from the first one, here they are counted back from the item's.
    backbone.positions.table.assign(peer.of["position_emb"][::-1])
    for index, block in enumerate(backbone.blocks):
        name = f"transformer_blocks.{index}"
        kernels = np.split(peer.of[f"{name}.attention.in_proj_weight"], 3)
        biases = np.split(peer.of[f"{name}.attention.in_proj_bias"], 3)
        parts = (block.query, block.key, block.value)
        for part, kernel, bias in zip(parts, kernels, biases, strict=True):
            part.set_weights([kernel.T, bias])
        block.output_map.set_weights(peer.dense(f"{name}.attention.out_proj"))
        block.hidden.set_weights(peer.dense(f"{name}.ffn.0"))
        block.last.set_weights(peer.dense(f"{name}.ffn.2"))
        block.attention_norm.set_weights(peer.norm(f"{name}.layer_norm1"))
        block.hidden_norm.set_weights(peer.norm(f"{name}.layer_norm2"))
    # Its last place is the item's.
    _equal(backbone(inputs), peer.output[:, -1])
