"""Train, evaluate, export and recommend on the shipped synthetic shop, in under a minute.

python examples/shop.py
"""

from pathlib import Path
from tempfile import mkdtemp

import tfrec_fusion as tff

folder = tff.data.sample_folder()
out = Path(mkdtemp(prefix="shop-"))

shop = tff.data.Catalogue.from_parquet(
    folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
)
events = tff.data.Interactions.from_parquet(folder / "interactions.parquet", shop)
split = events.split("temporal", test=0.1)
batches = split.train.batches(512)

model = tff.models.TwoTower(split.train)
model.compile(optimizer=tff.optimizers.adam(3e-3, steps=2 * len(batches)))
model.fit(batches, epochs=2, callbacks=[tff.training.TensorBoard(out / "logs", split=split)])
print(tff.evaluation.evaluate(model, split))

# Exports with all events, so that histories and trends are up to date.
recommender = tff.export.Recommender(tff.export(model, events, out / "saved_models/shop"))
for user, history in (("U2932", ()), ("a new user", (shop.vocabulary.ids[0],))):
    print(f"\nto {user}:")
    for item, score in recommender.recommend(user, history=history, k=5):
        print(f"  {score:6.2f}  {recommender.titles[item]}")
print(f"\ntensorboard --logdir {out / 'logs'}")
