"""Cold start: items without any purchase, and unknown customers.

python examples/cold_start.py ../shared/data/retail
"""

import sys
from pathlib import Path

import numpy as np

import tfrec_fusion as tff

folder = Path(sys.argv[1])
shop = tff.data.Catalogue.from_parquet(
    folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
)
events = tff.data.Interactions.from_parquet(folder / "interactions.parquet", shop)
# Makes a tenth of the items cold: removes all their events from training.
new = np.random.default_rng(0).random(len(shop)) < 0.1
split = events.split("temporal", test=0.1)
train = split.train.select(~new[split.train.item])
batches = train.batches(512)

for name, options in (("ID-only", {"vectors": []}), ("fused", {})):
    model = tff.models.TwoTower(train, name=name, **options)
    model.compile(tff.optimizers.adam(3e-3, steps=2 * len(batches)))
    model.fit(batches, epochs=2, verbose=0)
    report = tff.evaluation.evaluate(model, tff.data.Split(train, split.test, "temporal"))
    cold, found = report.counts["cold"], report.metrics["cold"]
    print(f"{name}: {cold['users']} customers bought a new item;", end=" ")
    print(f"among the new ones ndcg@10 {found['ndcg@10']:.3f}, recall@20 {found['recall@20']:.3f}")

# A cold item's vector comes from its text: print its nearest warm items.
scorer = model.scorer(tff.features.State.of(train))
vectors = np.array(scorer.item_vectors)[:, : model.config.dim]
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
for item in np.flatnonzero(new)[:3]:
    near = [i for i in np.argsort(-vectors @ vectors[item]) if not new[i]][:3]
    print(f"\nnew: {shop.titles[item]}\n  beside", "; ".join(shop.titles[i] for i in near))

# An unknown customer gets recommendations from one item in the basket.
basket = np.flatnonzero(~new & (np.char.find(shop.titles.astype(str), "TEA") >= 0))[:1]
user = model.user_vectors(
    np.array([-1], np.int32), vectors[basket], basket.astype(np.int32), [0], np.zeros(1, "f4")
)
print("\nto a new customer with", *shop.titles[basket])
for item in np.argsort(-(user.numpy() @ scorer.item_vectors.numpy().T)[0])[:5]:
    print("  ", shop.titles[item])
