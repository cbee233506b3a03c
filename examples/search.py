"""One catalogue to browse and to search, from a folder like shared/data/retail.

python examples/search.py ../shared/data/retail
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd

import tfrec_fusion as tff

folder, out = Path(sys.argv[1]), Path(mkdtemp(prefix="search-"))
items = pd.read_parquet(folder / "items.parquet")
encoder = tff.embeddings.LexicalEncoder(dims=256).fit(items["title"].tolist())
encoder.save(out / "words")
words = encoder.encode(items["title"].tolist())

shop = tff.data.Catalogue(items, {"text": folder / "minilm_384.npy"})
events = tff.data.Interactions.from_parquet(folder / "interactions.parquet", shop)
split = events.split("temporal", test=0.1)
model = tff.models.TwoTower(split.train)
batches = split.train.batches(512)
model.compile(tff.optimizers.adam(3e-3, steps=2 * len(batches)))
model.fit(batches, epochs=2, verbose=0)

# In place of a shop's log of searches: the last two words of what a customer bought.
bought = pd.DataFrame({"item_id": shop.vocabulary.ids[split.train.item]}).merge(items, "left")
bought["query"] = bought["title"].str.lower().str.split().str[-2:].str.join(" ")
bought["user_id"] = split.train.users.ids[split.train.user]
bought["timestamp"] = split.train.timestamp
bought = bought[bought["query"] != ""].sample(20_000, random_state=0)
vectors = encoder.encode(bought["query"].tolist())
searches = tff.data.SearchEvents.from_frame(bought, shop, users=split.train.users, vectors=vectors)

search = tff.models.SearchModel(model, split.train, start=words, hidden=128)
examples = tff.examples.search_examples(searches, split.train, 512)
search.compile(tff.optimizers.adam(2e-3, steps=3 * len(examples)))
search.fit(examples, epochs=3, verbose=0)

report = tff.evaluation.evaluate(search, split, bootstrap=0)
print(f"recommends as before: NDCG@10 {report.metrics['total']['ndcg@10']:.3f}")
options = {"texts": ["title"], "encoder": str(out / "words")}
version = tff.export(search, events, out / "saved_models/shop", search=options)
found = tff.export.Recommender(version)
for query in ("red mug", "chrismas lanternn", "small gift bags"):
    for user in (None, "17850"):
        best = [found.titles[item] for item, _ in found.search(query, k=3, user_id=user)]
        print(f"{query!r} for {user or 'nobody'}: {', '.join(best)}")
