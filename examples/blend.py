"""A blend: a two-tower, EASE with a trend and recent popularity as one model, chosen on validation.

python examples/blend.py ../shared/data/retail
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

from rich.console import Console

import tfrec_fusion as tff
from tfrec_fusion.models.classic import EASE, RecentPopularity

# Chosen on the validation period.
EASE_X_TREND = {
    "l2": 800.0,
    "vectors": "text",
    "text_weight": 20.0,
    "event_half_life_days": 360.0,
    "trend_power": 0.6,
}
folder = Path(sys.argv[1])
out = Path(mkdtemp(prefix="blend-"))

shop = tff.data.Catalogue.from_parquet(
    folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
)
events = tff.data.Interactions.from_parquet(folder / "interactions.parquet", shop)
split = events.split("temporal", test=0.1)


def two_tower(train):
    model, batches = tff.models.TwoTower(train), train.batches(512)
    model.compile(tff.optimizers.adam(3e-3, steps=2 * len(batches)))
    model.fit(batches, epochs=2, verbose=0)
    return model


# Functions of the training events: on validation they are called with the events before it.
factories = {
    "two_tower": two_tower,
    "ease": lambda train: EASE(**EASE_X_TREND).fit(train),
    "recent": lambda train: RecentPopularity().fit(train),
}
choice = tff.training.choose_blend(factories, split)
print(choice.table.to_string())
blend = choice.fit(split.train)
print(f"chosen: {choice.options}")
models = [*getattr(blend, "members", {}).values(), blend]
reports = [tff.evaluation.evaluate(model, split) for model in models]
Console(width=120).print(tff.evaluation.compare(reports))

recommender = tff.export.Recommender(tff.export(blend, events, out / "saved_models/shop"))
for user in ("13085", "17850"):
    print(f"\nto customer {user}:")
    for item, score in recommender.recommend(user, k=5):
        print(f"  {score:6.3f}  {recommender.titles[item]}")
