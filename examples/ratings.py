"""Ratings: a ranker predicts whether a user likes a film, and the rating.

python examples/ratings.py ../shared/data/movies
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pandas as pd
from rich.console import Console

import tfrec_fusion as tff

folder, out = Path(sys.argv[1]), Path(mkdtemp(prefix="ratings-"))

films = tff.data.Catalogue.from_parquet(
    folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}, numbers=[]
)
frame = pd.read_parquet(folder / "interactions.parquet").drop(columns="timestamp", errors="ignore")
frame = frame.assign(label=(frame["rating"] >= 4).astype(float))
events = tff.data.Interactions.from_frame(frame, films, labels=["rating"])
split = events.split("random", test=0.2)


def fitted(label_rates):
    model = tff.models.Ranker(
        split.train,
        dim=16,
        dropout=0.3,
        id_l2=1e-3,
        label_rates=label_rates,
        heads={"liked": "binary", "rating": "regression"},
    )
    batches = tff.examples.ranking_examples(split.train, 1024, label_rates=label_rates)
    model.compile(tff.optimizers.adam(2e-3, steps=5 * len(batches)))
    model.fit(batches, epochs=5, verbose=0)
    return model


tested = tff.examples.ranking_examples(
    split.test, 1024, known=split.train, negatives=0, label_rates=True, shuffle=False
)
for label_rates in (False, True):
    ranker = fitted(label_rates)
    report = tff.evaluation.evaluate_ranker(ranker, split)
    pairs = [(batch["label/rating"], ranker.answers(batch)["rating"]) for batch in tested]
    true, predicted = (np.concatenate(values) for values in zip(*pairs, strict=True))
    rmse = np.sqrt(np.mean((true - predicted) ** 2))
    gauc = report.metrics["total"]["gauc"]
    print(f"label_rates={label_rates}: GAUC {gauc:.3f}, RMSE of the rating {rmse:.3f}")
Console(width=120).print(report)

tff.export(ranker, split.train, out / "saved_models/ratings")
print(f"exported to {out}")
