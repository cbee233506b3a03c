"""Golden values of FuxiCTR's and DeepCTR-Torch's layers, for tests/models/test_backbone_peers.py.

    python benchmarks/peers/ranker_layers.py FUXICTR tests/fixtures/ranker_layers.npz

It draws weights and inputs, and stores them with the outputs. It runs in an environment of the
peers alone, of the packages in requirements-peers-ranker.txt. FUXICTR is a checkout of the
repository reczoo/FuxiCTR at commit 0245987, whose folder model_zoo has the models that the wheel
lacks.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch
from deepctr_torch.layers.interaction import FM, InteractingLayer
from fuxictr.pytorch.layers import MLP_Block
from fuxictr.pytorch.layers.attentions import DIN_Attention
from fuxictr.pytorch.layers.interactions import (
    CompressedInteractionNet,
    CrossNetMix,
    CrossNetV2,
    InnerProductInteraction,
)
from torch import nn

BATCH, FIELDS, DIM, LENGTH, NUMBERS = 5, 4, 4, 7, 3
WIDTH = FIELDS * DIM


def zoo(checkout, path):
    """A module of the folder model_zoo."""
    found = importlib.util.spec_from_file_location(Path(path).stem, checkout / "model_zoo" / path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def drawn(module):
    """The module in evaluation mode, with random numbers in every weight and running mean."""
    with torch.no_grad():
        for weight in module.parameters():
            if weight.is_floating_point():
                weight.copy_(torch.randn_like(weight) / 2)
        for name, values in module.named_buffers():
            if name.endswith("running_mean"):
                values.copy_(torch.randn_like(values))
            if name.endswith("running_var"):
                values.copy_(torch.rand_like(values) + 0.5)
    return module.eval()


class DLRM(nn.Module):
    """The parts of FuxiCTR's DLRM, put together as its `forward` does."""

    def __init__(self):
        super().__init__()
        self.bottom = MLP_Block(NUMBERS, [5], output_dim=DIM, output_activation="ReLU")
        self.products = InnerProductInteraction(FIELDS + 1, "inner_product")
        self.top = MLP_Block((FIELDS + 1) * FIELDS // 2 + DIM, [4])

    def forward(self, fields, numbers):
        dense = self.bottom(numbers)
        products = self.products(torch.cat([fields, dense[:, None]], 1))
        return self.top(torch.cat([products, dense], -1))


class FinalMLP(nn.Module):
    """The parts of FuxiCTR's FinalMLP, with the field of user and item as what the gates read."""

    def __init__(self, module):
        super().__init__()
        gate = {"output_dim": WIDTH, "hidden_units": [7], "output_activation": "Sigmoid"}
        self.gate_0, self.gate_1 = MLP_Block(DIM, **gate), MLP_Block(DIM, **gate)
        self.network_0, self.network_1 = MLP_Block(WIDTH, [8, 6]), MLP_Block(WIDTH, [8, 6])
        self.product = module.InteractionAggregation(6, 6, 1, 2)

    def forward(self, x0, first, second):
        one, other = x0 * self.gate_0(first) * 2, x0 * self.gate_1(second) * 2
        return self.product(self.network_0(one), self.network_1(other))


class MaskNet(nn.Module):
    """The parts of FuxiCTR's MaskNet after the embedding."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.emb_norm = nn.ModuleList(nn.LayerNorm(DIM) for _ in range(FIELDS))

    def forward(self, fields):
        each = fields.chunk(FIELDS, dim=1)
        normed = torch.cat([norm(one) for norm, one in zip(self.emb_norm, each, strict=True)], 1)
        return self.network(fields.flatten(1), normed.flatten(1))


def causal_mask(present):
    """BST's mask of causal attention with the item as the last place, True where not read."""
    padding = torch.cat([~present, torch.zeros(len(present), 1, dtype=torch.bool)], 1)
    length = padding.shape[1]
    hidden = padding[:, None] & ~torch.eye(length, dtype=torch.bool)
    hidden = hidden | torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
    return hidden.repeat_interleave(2, 0)


def main():
    torch.manual_seed(0)
    checkout = Path(sys.argv[1])
    mask_net, final_net, gdcn, bst, mmoe, final_mlp = (
        zoo(checkout, f"{path}.py")
        for path in (
            "MaskNet/src/MaskNet",
            "FinalNet/src/FinalNet",
            "GDCN/src/GDCN",
            "BST/src/BST",
            "multitask/MMoE/src/MMoE",
            "FinalMLP/src/FinalMLP",
        )
    )
    fields, numbers = torch.randn(BATCH, FIELDS, DIM), torch.randn(BATCH, NUMBERS)
    x0 = fields.flatten(1)
    item, history = torch.randn(BATCH, DIM), torch.randn(BATCH, LENGTH, DIM)
    present = torch.arange(LENGTH) >= torch.tensor([0, 2, 6, 3, 7])[:, None]
    history = history * present[..., None]
    chosen = present.float()
    sequence = torch.cat([history, item[:, None]], 1)
    cases = {
        "cross": (CrossNetV2(WIDTH, 2), x0),
        "cross_mixture": (CrossNetMix(WIDTH, 2, 3, 4), x0),
        "gated_cross": (gdcn.GateCorssLayer(WIDTH, 2), x0),
        "machine": (FM(), fields),
        "compressed": (CompressedInteractionNet(FIELDS, [5, 3]), fields),
        "attention": (nn.Sequential(InteractingLayer(DIM), InteractingLayer(DIM)), fields),
        "dlrm": (DLRM(), fields, numbers),
        "mask_serial": (MaskNet(mask_net.SerialMaskNet(WIDTH, hidden_units=[8, 5])), fields),
        "mask_parallel": (
            MaskNet(mask_net.ParallelMaskNet(WIDTH, None, None, 2, 6, [5], reduction_ratio=2)),
            fields,
        ),
        "final_mlp": (FinalMLP(final_mlp), x0, fields[:, 3], fields[:, 0]),
        "final_concat": (
            final_net.FinalBlock(WIDTH, [8, 6], dropout_rates=0, residual_type="concat"),
            x0,
        ),
        "final_sum": (
            final_net.FinalBlock(WIDTH, [8, 6], dropout_rates=0, residual_type="sum"),
            x0,
        ),
        "mixture": (mmoe.MMoE_Layer(3, 2, WIDTH, [8, 5], [4], "ReLU", 0, False), x0),
        "din": (DIN_Attention(DIM, [8, 4]), item, history, chosen),
        "din_softmax": (DIN_Attention(DIM, [8], use_softmax=True), item, history, chosen),
        "bst": (
            bst.BehaviorTransformer(LENGTH + 1, DIM + 4, 2, 2, position_dim=4),
            sequence,
            causal_mask(present),
        ),
    }
    found = {
        "fields": fields,
        "numbers": numbers,
        "item": item,
        "history": history,
        "present": present,
    }
    for name, (module, *given) in cases.items():
        module = drawn(module)
        with torch.no_grad():
            if name == "mixture":
                for gate in module.gate:
                    gate.mlp[-1].bias.zero_()  # the paper's gates have none
            output = module(*given)
        found[f"{name}/output"] = torch.stack(output, 1) if name == "mixture" else output
        found |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    np.savez_compressed(sys.argv[2], **{name: one.numpy() for name, one in found.items()})


main()
