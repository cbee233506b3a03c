"""Next item: a sequence tower on ordered purchases, from a folder like shared/data/beauty.

python examples/next_item.py ../shared/data/beauty
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

from rich.console import Console

import tfrec_fusion as tff
from tfrec_fusion.models.classic import EASE

folder = Path(sys.argv[1])
out = Path(mkdtemp(prefix="next-item-"))

shop = tff.data.Catalogue.from_parquet(
    folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
)
events = tff.data.Interactions.from_parquet(folder / "interactions.parquet", shop)
split = events.split("leave_one_out")

model = tff.models.TwoTower(split.train, dim=64, trend=False, user="sasrec")
batches = split.train.batches(128, examples="sequence")
model.compile(tff.optimizers.adam(1e-3, steps=10 * len(batches)))
model.fit(batches, epochs=10)

ease = EASE(l2=500.0, vectors="text", text_weight=20.0, step_decay=0.5).fit(split.train)
reports = [tff.evaluation.evaluate(one, split) for one in (ease, model)]
Console(width=120).print(tff.evaluation.compare(reports))

recommender = tff.export.Recommender(tff.export(model, events, out / "saved_models/shop"))
history = [shop.vocabulary.ids[row] for row in events.histories().of(0)[-5:]]
print("\nafter", ", ".join(recommender.titles[item] for item in history))
for item, score in recommender.recommend(history=history, k=5):
    print(f"  {score:6.3f}  {recommender.titles[item]}")
