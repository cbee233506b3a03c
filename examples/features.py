"""Features of items and users: what people wear, from a folder like shared/data/coat.

python examples/features.py ../shared/data/coat
"""

import sys
from pathlib import Path

import pandas as pd

import tfrec_fusion as tff
from tfrec_fusion.features import Category, Features

folder = Path(sys.argv[1])
shop = tff.data.Catalogue.from_parquet(folder / "items.parquet")
ratings = pd.read_parquet(folder / "interactions.parquet", columns=["user_id", "item_id", "rating"])
events = tff.data.Interactions.from_frame(
    ratings, shop, min_rating=4, duplicates="first", users=folder / "users.parquet"
)
split = events.split("random", test=0.2)
declared = Features(
    item=[Category(column=name) for name in ("gender", "jackettype", "color")],
    user=[Category(column=name) for name in ("gender", "age", "location", "fashioninterest")],
)


def trained(name, features):
    model = tff.models.TwoTower(
        split.train, dim=32, features=features, history_dropout=0.2, name=name
    )
    batches = split.train.batches(32)
    model.compile(tff.optimizers.adam(3e-3, steps=20 * len(batches)))
    model.fit(batches, epochs=20, verbose=0)
    return model


for model in (trained("without", Features()), trained("with", declared)):
    for known, history in (("a new user", 0), ("3 coats known", 3), ("all known", None)):
        report = tff.evaluation.evaluate(model, split, history=history, bootstrap=0)
        print(f"{model.name} features, {known}: NDCG@10 {report.metrics['total']['ndcg@10']:.3f}")
