"""Scores of RecTools' sequence models, for retrieval.py and sequences.py.

    python benchmarks/peers/sequence_scores.py PAIRS.npz OPTIONS.json OUT.npz

PAIRS holds `user`, `item` (int rows of the training events, each user's in order), `shape`, and the
same of the histories that are scored, `past_user` and `past_item`.
OPTIONS has a `model`, "sasrec", "esasrec" or "hstu", and its arguments. OUT gets `scores`
[users, items] float32, -inf but for the best 400 items of a user, `seconds` of the fit and
`peak_mb`, the peak memory until its end. It runs in an environment of the peers alone, of the
packages in requirements-peers-classic.txt.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import HSTUModel, SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers

sys.path.append(str(Path(__file__).resolve().parents[1]))
from harness import peak_mb

BEST = 400


def made(model, **options):
    """A model of RecTools."""
    if model == "hstu":
        # The events have an order, but no times.
        return HSTUModel(relative_time_attention=False, **options)
    if model == "esasrec":
        options["transformer_layers_type"] = LiGRLayers
    return SASRecModel(**options)


def dataset_of(user: np.ndarray, item: np.ndarray) -> Dataset:
    """Events in their order."""
    frame = pd.DataFrame({Columns.User: user, Columns.Item: item, Columns.Weight: 1.0})
    frame[Columns.Datetime] = pd.Timestamp("2020-01-01") + pd.to_timedelta(
        np.arange(len(frame)), "s"
    )
    return Dataset.construct(frame)


def main():
    given = np.load(sys.argv[1])
    options = json.loads(Path(sys.argv[2]).read_text())
    torch.manual_seed(options.pop("seed"))
    dataset, model = dataset_of(given["user"], given["item"]), made(**options)
    started = time.perf_counter()
    model.fit(dataset)
    seconds, peak = time.perf_counter() - started, peak_mb()
    user, item = given["past_user"], given["past_item"]
    lists = model.recommend(
        np.unique(user),
        dataset_of(user, item),
        BEST,
        filter_viewed=False,
        on_unsupported_targets="ignore",
    )
    scores = np.full(tuple(given["shape"]), -np.inf, np.float32)
    scores[lists[Columns.User], lists[Columns.Item]] = lists[Columns.Score]
    np.savez(sys.argv[3], scores=scores, seconds=seconds, peak_mb=peak)


main()
