"""Golden values of RecTools' transformer blocks, for tests/layers/test_sequence_blocks.py.

    python benchmarks/peers/sequence_layers.py tests/fixtures/sequence_blocks.npz

It draws weights and inputs, and stores them with the outputs. It runs in an environment of the
peers alone, of the packages in requirements-peers-classic.txt.
"""

import sys

import numpy as np
import torch
from rectools.models.nn.transformers.hstu import STULayer
from rectools.models.nn.transformers.ligr import LiGRLayer
from rectools.models.nn.transformers.sasrec import SASRecTransformerLayers

BATCH, LENGTH, DIM, HEADS = 3, 5, 8, 2


def drawn(module):
    """The module with random numbers in every weight, without dropout."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn_like(weight) / 2)
    return module.eval()


def main():
    torch.manual_seed(0)
    given = torch.randn(BATCH, LENGTH, DIM)
    later = torch.triu(torch.ones(LENGTH, LENGTH, dtype=torch.bool), 1)
    whole = torch.ones(BATCH, LENGTH, 1)
    # The seconds of the events, and of the request after the last one.
    seconds = torch.cumsum(torch.randint(100, 10**6, (BATCH, LENGTH + 1)), 1)
    sasrec = drawn(SASRecTransformerLayers(1, DIM, HEADS, 0.0))
    ligr = drawn(LiGRLayer(DIM, HEADS, 0.0))
    hstu = drawn(
        STULayer(DIM, HEADS, DIM // HEADS, DIM // HEADS, LENGTH, True, True, 0.0, 0.0, 1e-6)
    )
    batch = {"x": torch.ones(BATCH, LENGTH), "unix_ts": seconds}
    with torch.no_grad():
        outputs = {
            "sasrec": sasrec(given.clone(), whole, later, None),
            "ligr": ligr(given, later, None),
            "hstu": hstu(given, batch, (~later).int(), whole, None),
        }
    found = {"inputs": given, "seconds": seconds}
    for name, module in (("sasrec", sasrec), ("ligr", ligr), ("hstu", hstu)):
        found |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
        found[f"{name}/output"] = outputs[name]
    np.savez_compressed(sys.argv[1], **{name: one.numpy() for name, one in found.items()})


main()
