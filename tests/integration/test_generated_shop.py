import sys
from pathlib import Path

import numpy as np
import pytest

from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.models.classic import RecentPopularity


@pytest.fixture(scope="module")
def benchmark():
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    import generated_shop

    sys.path.remove(folder)
    return generated_shop


def test_a_shop_follows_its_law(benchmark):
    shop = benchmark.generated_shop(10_000, seed=3)
    events = shop.events
    assert len(events) == len(events.first_events()) == 10_000
    assert (len(shop.taste), len(events.catalogue)) == (300, 100)
    np.testing.assert_allclose(shop.taste.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(shop.topics.sum(1), 1, rtol=1e-5)
    week = benchmark.week_of(events.event_times)
    # Each topic's probabilities add up to one, and no item is taken before its release.
    sums = shop.probabilities(60).sum(0)
    np.testing.assert_allclose(sums[sums > 0], 1, rtol=1e-6)
    assert (shop.release[events.item] <= (week + 0.5) * benchmark.WEEK).all()
    again = benchmark.generated_shop(10_000, seed=3).events
    assert again.fingerprint() == events.fingerprint()


def test_who_knows_the_law_is_far_above_popularity(benchmark):
    shop = benchmark.generated_shop(20_000)
    split = shop.events.split("temporal")
    oracle = benchmark.Oracle.of_test_period(shop, split)
    popular = RecentPopularity().fit(split.train)
    inferred = benchmark.InferredTaste(shop, split)
    best, known, base = (
        evaluate(model, split, bootstrap=0).metrics["total"]["ndcg@10"]
        for model in (oracle, inferred, popular)
    )
    assert best > known > 1.5 * base
