"""Books: ratings without timestamps, from a folder like shared/data/books.

python examples/books.py ../shared/data/books
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd
from rich.console import Console

import tfrec_fusion as tff
from tfrec_fusion.models.classic import EASE

folder = Path(sys.argv[1])
out = Path(mkdtemp(prefix="books-"))

# TF-IDF vectors, as the names of authors and series matter more than what a text is about.
items = pd.read_parquet(folder / "items.parquet")
words = tff.embeddings.encode(items, "lexical", out / "words").store
library = tff.data.Catalogue(items, vectors={"words": words})
ratings = tff.data.Interactions.from_parquet(folder / "interactions.parquet", library, min_rating=4)
split = ratings.split("random", test=0.2)
batches = split.train.batches(256)  # "autoencoder" examples: predict a user's books from themselves

text = library.vectors["words"]
start = tff.embeddings.SpectralFusion(1024).fit(split.train.matrix(), text.values, text.mask)
options = {"dim": 1024, "vectors": [], "id_dropout": 0.0, "id_l2": 0.0}
model = tff.models.TwoTower(split.train, initial=start, name="fused", **options)
model.compile(tff.optimizers.adam(1e-4, steps=3 * len(batches)))
model.fit(batches, epochs=3, verbose=0)

reports = [tff.evaluation.evaluate(m, split) for m in (model, EASE(l2=50).fit(split.train))]
Console(width=120).print(tff.evaluation.compare(reports))

recommender = tff.export.Recommender(tff.export(model, ratings, out / "saved_models/books"))
titles = recommender.titles
history = titles.index[titles.str.startswith("Dune")][:2]
print("\nto a new reader of", " and ".join(titles[history]))
for item, score in recommender.recommend("a new reader", history=history, k=5):
    print(f"  {score:6.2f}  {titles[item]}")
