"""Two stages: EASE proposes candidates, a ranker orders them, one export answers.

python examples/feed.py
"""

from pathlib import Path
from tempfile import mkdtemp

from rich.console import Console

import tfrec_fusion as tff
from tfrec_fusion.models.classic import EASE

folder = tff.data.sample_folder()
out = Path(mkdtemp(prefix="feed-"))

shop = tff.data.Catalogue.from_parquet(
    folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
)
events = tff.data.Interactions.from_parquet(folder / "interactions.parquet", shop)
split = events.split("temporal", test=0.1)


def two_stages(train):
    retrieval = EASE(l2=100.0, vectors="text", text_weight=20.0, trend_power=0.6).fit(train)
    ranker = tff.models.Ranker(train, dim=32)
    # Half of the negatives are items that the retrieval model proposes.
    batches = tff.examples.ranking_examples(train, 512, negatives_from=retrieval)
    ranker.compile(tff.optimizers.adam(1e-3, steps=len(batches)))
    ranker.fit(batches, verbose=0)
    return retrieval, ranker


# The validation period chooses how much the retrieval model's own score counts.
part, found = split.validation(), {}
retrieval, ranker = two_stages(part.train)
for weight in (0.0, 0.25, 0.5, 1.0):
    feed = tff.pipelines.TwoStage(retrieval, ranker, retrieval_weight=weight)
    found[weight] = tff.evaluation.evaluate(feed, part).metrics["total"]["ndcg@10"]
print(f"on validation: {found}")

best = max(found, key=lambda weight: found[weight])
retrieval, ranker = two_stages(split.train)
feed = tff.pipelines.TwoStage(retrieval, ranker, retrieval_weight=best)
first, both = (tff.evaluation.evaluate(model, split) for model in (retrieval, feed))
Console(width=120).print(tff.evaluation.compare([first, both]))
print(tff.evaluation.paired_bootstrap(both.per_user["ndcg@10"], first.per_user["ndcg@10"]))

recommender = tff.export.Recommender(tff.export(feed, events, out / "saved_models/feed"))
print("\nto U2932:")
for item, score in recommender.recommend("U2932", k=5):
    print(f"  {score:6.2f}  {recommender.titles[item]}")
