"""E-commerce: predict what a shop's customers buy next, from a folder like shared/data/retail.

python examples/retail.py ../shared/data/retail
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

from rich.console import Console

import tfrec_fusion as tff
from tfrec_fusion.models.classic import RecentPopularity, TextMean

folder = Path(sys.argv[1])
out = Path(mkdtemp(prefix="retail-"))

shop = tff.data.Catalogue.from_parquet(
    folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
)
events = tff.data.Interactions.from_parquet(folder / "interactions.parquet", shop)
split = events.split("temporal", test=0.1)
batches = split.train.batches(512)


def trained(name, **options):
    model = tff.models.TwoTower(split.train, name=name, **options)
    model.compile(tff.optimizers.adam(3e-3, steps=2 * len(batches)))
    model.fit(batches, epochs=2, verbose=0)
    return model


fused = trained("fused")
models = [fused, trained("ID-only", vectors=[]), RecentPopularity(), TextMean()]
for baseline in models[2:]:
    baseline.fit(split.train)
reports = [tff.evaluation.evaluate(model, split) for model in models]
Console(width=120).print(tff.evaluation.compare(reports))

# Exports with all events, so that trends and histories are up to date.
recommender = tff.export.Recommender(tff.export(fused, events, out / "saved_models/shop"))
for user in ("13085", "17850"):
    print(f"\nto customer {user}:")
    for item, score in recommender.recommend(user, k=5):
        print(f"  {score:6.2f}  {recommender.titles[item]}")
