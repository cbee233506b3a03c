"""Training steps of FuxiCTR's and DeepCTR-Torch's DCN-v2, for benchmarks/ranking_speed.py.

    python benchmarks/peers/ranker_steps.py fuxictr|deepctr SIZES.npz DIM LAYERS HIDDEN THREADS

SIZES holds the `ids` [rows, features] from 0, the `label` [rows], the `sizes` of the features and
the `batch`. HIDDEN are units, such as 256,128. Each request trains all rows once, in order, and
answers with its seconds.
"""

import contextlib
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).resolve().parents[1]))
from harness import serve
from ranker_scores import deepctr_model, fuxictr_model


def _deepctr(layers, units, common):
    return deepctr_model(
        "DCN",
        cross_parameterization="matrix",
        cross_num=layers,
        dnn_hidden_units=units,
        l2_reg_linear=0,
        l2_reg_embedding=0,
        l2_reg_cross=0,
        **common,
    )


def main():
    peer, path, dim, layers, hidden, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    with np.load(path) as given:
        ids, label, batch = given["ids"], torch.from_numpy(given["label"]), int(given["batch"])
        sizes = {f"f{at}": int(size) for at, size in enumerate(given["sizes"])}
    units = [int(part) for part in hidden.split(",")]
    common = {"sizes": sizes, "widths": {}, "dim": int(dim), "seed": 0}
    if peer == "fuxictr":
        model = fuxictr_model(
            "DCNv2",
            num_cross_layers=int(layers),
            parallel_dnn_hidden_units=units,
            **common,
        )
        columns = dict(zip(sizes, torch.from_numpy(ids.T.copy() + 1), strict=True))

        def step(rows):
            model.train_step({k: v[rows] for k, v in columns.items()} | {"label": label[rows]})
    else:
        with contextlib.redirect_stdout(sys.stderr):
            model, one = _deepctr(int(layers), units, common)
        table = torch.from_numpy(ids.astype(np.float32))

        def step(rows):
            one({"x": table[rows]}, label[rows])

    model.train()

    def answer(_message: dict) -> dict:
        started = time.perf_counter()
        for at in range(0, len(label), batch):
            step(slice(at, at + batch))
        return {"seconds": time.perf_counter() - started}

    serve(answer)


main()
