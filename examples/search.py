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
encoder = tff.embeddings.NGramEncoder().fit(items["title"].tolist())
encoder.save(out / "spelling")
vectors = {
    "text": folder / "minilm_384.npy",
    "spelling": encoder.encode(items["title"].tolist()),
}
shop = tff.data.Catalogue(items, vectors)
events = tff.data.Interactions.from_parquet(folder / "interactions.parquet", shop)
split = events.split("temporal", test=0.1)
model = tff.models.TwoTower(split.train, vectors=["text"])
batches = split.train.batches(512)
model.compile(tff.optimizers.adam(3e-3, steps=2 * len(batches)))
model.fit(batches, epochs=2, verbose=0)


def searches_of(part, count):
    """In place of a shop's log of searches: the last two words of what customers bought."""
    bought = pd.DataFrame({"item_id": shop.vocabulary.ids[part.item]}).merge(items, "left")
    bought["query"] = bought["title"].str.lower().str.split().str[-2:].str.join(" ")
    bought["user_id"] = part.users.ids[part.user]
    bought["timestamp"] = part.timestamp
    bought = bought[(part.user >= 0) & (bought["query"] != "")].sample(count, random_state=0)
    encoded = encoder.encode(bought["query"].tolist())
    users = split.train.users
    return tff.data.SearchEvents.from_frame(bought, shop, users=users, vectors=encoded)


search = tff.models.SearchModel(model, split.train, vectors="spelling")
examples = tff.examples.search_examples(searches_of(split.train, 20_000), split.train, 512)
search.compile(tff.optimizers.adam(3e-3, steps=3 * len(examples)))
search.fit(examples, epochs=3, verbose=0)

report = tff.evaluation.evaluate(search, split, bootstrap=0)
print(f"recommends as before: NDCG@10 {report.metrics['total']['ndcg@10']:.3f}")
options = {"texts": ["title"], "encoder": str(out / "spelling")}
later = searches_of(split.test, 1000)
options = tff.export.choose_search_weights(search, split.train, later, options)
print(f"by {options.fusion}, with the weights {options.weights}")
version = tff.export(search, events, out / "saved_models/shop", search=options)
found = tff.export.Recommender(version)
for query in ("red mug", "chrismas lanternn", "small gift bags"):
    for user in (None, "17850"):
        best = [found.titles[item] for item, _ in found.search(query, k=3, user_id=user)]
        print(f"{query!r} for {user or 'nobody'}: {', '.join(best)}")
