"""The baselines reach what the data's README says of them, within .005."""

import numpy as np
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.models.classic import (
    EASE,
    ItemKNN,
    Popularity,
    RecentPopularity,
    TextMean,
)


@pytest.fixture(scope="module")
def split_of(real_data):
    splits = {}

    def split(name):
        if name not in splits:
            folder = real_data(name)
            items = Catalogue.from_parquet(
                folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
            )
            events = folder / "interactions.parquet"
            if name == "retail":
                splits[name] = Interactions.from_parquet(events, items).split("temporal")
            else:
                splits[name] = Interactions.from_parquet(events, items, min_rating=4).split(
                    "random"
                )
        return splits[name]

    return split


FUSED = EASE(l2=200, vectors="text", text_weight=20)


RETAIL = [
    ("retail", Popularity(), 0.031, 0.037, None, None),
    ("retail", RecentPopularity(share=0.1), 0.063, 0.085, None, None),
    ("retail", ItemKNN(k=100), 0.065, 0.074, None, None),
    ("retail", EASE(l2=800), 0.074, 0.082, None, None),
    ("retail", FUSED, 0.073, 0.080, None, 0.266),
    ("retail", TextMean(dims=128), 0.058, 0.061, 0.768, 0.342),
]
# The inverses of 10,000 items take minutes.
OTHERS = [
    ("movies", Popularity(), 0.148, 0.148, None, None),
    ("movies", ItemKNN(k=100), 0.239, 0.231, None, None),
    ("movies", EASE(l2=200), 0.281, 0.274, None, None),
    ("movies", FUSED, 0.284, 0.277, None, 0.031),
    ("movies", TextMean(dims=128), 0.061, 0.049, 0.057, 0.026),
    ("books", Popularity(), 0.080, 0.090, None, None),
    ("books", ItemKNN(k=100), 0.219, 0.267, None, None),
    ("books", EASE(l2=50), 0.245, 0.300, None, None),
    ("books", FUSED, 0.247, 0.299, None, 0.304),
    ("books", TextMean(dims=128), 0.093, 0.099, 0.548, 0.224),
]


@pytest.mark.parametrize(
    ("data", "baseline", "recall", "ndcg", "cold_recall", "cold_ndcg"),
    [
        *(pytest.param(*row, marks=pytest.mark.slow) for row in RETAIL),
        *(pytest.param(*row, marks=pytest.mark.acceptance) for row in OTHERS),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_figures_of_the_readme(split_of, data, baseline, recall, ndcg, cold_recall, cold_ndcg):
    split = split_of(data)
    found = evaluate(baseline.fit(split.train), split, bootstrap=0).metrics
    expected = {
        ("total", "recall@20"): recall,
        ("total", "ndcg@10"): ndcg,
        ("cold", "recall@20"): cold_recall,
        ("cold", "ndcg@10"): cold_ndcg,
    }
    for (label, metric), value in expected.items():
        if value is not None:
            assert found[label][metric] == pytest.approx(value, abs=0.005), (label, metric)


@pytest.mark.slow
@pytest.mark.parametrize(("data", "cold"), [("retail", 32), ("movies", 3989), ("books", 185)])
def test_cold_items_of_the_readme(split_of, data, cold):
    train = split_of(data).train
    assert len(train.catalogue) - len(np.unique(train.item)) == cold
