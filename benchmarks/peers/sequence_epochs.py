"""Epochs of RecTools' sequence models, for benchmarks/sequences.py.

    python benchmarks/peers/sequence_epochs.py PAIRS.npz TOWER BLOCKS DIM THREADS

TOWER is "sasrec" or "esasrec". Each request trains an epoch and answers with its seconds.
"""

import logging
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers

sys.path.append(str(Path(__file__).resolve().parents[1]))
from harness import serve

warnings.simplefilter("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def main():
    path, tower, blocks, dim, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    with np.load(path) as given:
        frame = pd.DataFrame({Columns.User: given["user"], Columns.Item: given["item"]})
        # All items must be known, as in the catalogue of ours.
        rest = np.setdiff1d(np.arange(int(given["items"])), given["item"])
    more = pd.DataFrame({Columns.User: -1, Columns.Item: rest})
    frame = pd.concat([frame, more], ignore_index=True).assign(**{Columns.Weight: 1.0})
    frame[Columns.Datetime] = pd.Timestamp("2020-01-01") + pd.to_timedelta(
        np.arange(len(frame)), "s"
    )
    options = {"transformer_layers_type": LiGRLayers} if tower == "esasrec" else {}
    model = SASRecModel(
        n_blocks=int(blocks),
        n_heads=1,
        n_factors=int(dim),
        session_max_len=50,
        batch_size=128,
        loss="softmax",
        dropout_rate=0.2,
        **options,
    )
    dataset = Dataset.construct(frame)

    def answer(_message: dict) -> dict:
        started = time.perf_counter()
        model.fit_partial(dataset, min_epochs=1, max_epochs=1)
        return {"seconds": time.perf_counter() - started}

    serve(answer)


main()
