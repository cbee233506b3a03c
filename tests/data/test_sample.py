"""The shipped sample holds what its README says was planted in it."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tfrec_fusion.data.samples import sample_folder

_TOOLS = Path(__file__).parents[2] / "tools"
_DAY = 86_400


@pytest.fixture(scope="module")
def items():
    return pd.read_parquet(sample_folder() / "items.parquet")


@pytest.fixture(scope="module")
def events():
    return pd.read_parquet(sample_folder() / "interactions.parquet")


@pytest.fixture(scope="module")
def vectors():
    return np.load(sample_folder() / "minilm_384.npy")


@pytest.fixture(scope="module")
def tools():
    """The modules of tools/: the maker and the probes."""
    sys.path.insert(0, str(_TOOLS))
    try:
        import make_sample
        import probe_sample

        yield make_sample, probe_sample
    finally:
        sys.path.remove(str(_TOOLS))


@pytest.fixture(scope="module")
def planted(tools):
    return tools[0].make_tables()


@pytest.fixture(scope="module")
def probes(tools, items, events, vectors):
    return tools[1].probe(items, events, vectors)


@pytest.fixture(scope="module")
def pairs(items, events):
    """Which user bought which item: 0/1 [3000, 2000]."""
    users = pd.factorize(events["user_id"])[0]
    rows = pd.Index(items["item_id"]).get_indexer(events["item_id"])
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (users, rows))).minimum(1)


def _cold(planted):
    """Which items were launched after the cut."""
    start = planted.interactions["timestamp"].iloc[0]
    return planted.launch > (planted.cut - start) // _DAY


def test_sizes_and_ids(items, events):
    assert items.shape == (2000, 6)
    assert len(events) == 60_000
    assert events["user_id"].nunique() == 3000
    assert items["item_id"].is_unique and items["title"].is_unique
    assert set(events["item_id"]) <= set(items["item_id"])
    assert not items.isna().any().any() and not events.isna().any().any()
    assert all(
        text.startswith(title) for text, title in zip(items["text"], items["title"], strict=True)
    )
    assert (items["price"] > 0).all()


def test_times_are_sorted_unix_seconds_over_two_years(events):
    times = events["timestamp"]
    assert times.dtype == np.int64 and times.is_monotonic_increasing
    assert 720 * _DAY < times.iloc[-1] - times.iloc[0] < 731 * _DAY


def test_most_pairs_are_distinct(events):
    assert 0.005 < events.duplicated(["user_id", "item_id"]).mean() < 0.05


def test_files_are_under_4_mb():
    assert sum(path.stat().st_size for path in sample_folder().iterdir()) < 4_000_000


def test_readme_says_that_it_is_synthetic():
    text = (sample_folder() / "README.md").read_text(encoding="utf-8")
    assert "This data is synthetic" in text and "Apache-2.0" in text


def test_the_same_seed_gives_the_shipped_tables(planted, items, events):
    pd.testing.assert_frame_equal(planted.items, items, check_dtype=False)
    pd.testing.assert_frame_equal(planted.interactions, events, check_dtype=False)


def test_vectors_are_finite_and_of_unit_length(vectors):
    assert vectors.shape == (2000, 384) and vectors.dtype == np.float16
    # Rounding to float16 moves a length by at most its relative precision, 2**-11.
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float32), axis=1), 1, atol=5e-4)


def test_cold_items_have_no_event_before_the_last_tenth(planted, items, events):
    cold = set(items["item_id"][_cold(planted)])
    assert len(cold) == 160
    bought = events[events["item_id"].isin(cold)]
    first = events.drop_duplicates(["user_id", "item_id"])["timestamp"].quantile(0.9)
    assert bought["timestamp"].min() >= max(planted.cut, first)
    # Enough to measure with: over five a cold item, by users who had bought something before.
    known = set(events["user_id"][events["timestamp"] < first])
    assert bought["user_id"].isin(known).sum() > 5 * len(cold)


def test_text_neighbours_of_cold_items_share_theme_and_category(planted, items, vectors):
    x = vectors.astype(np.float32)
    cold = np.flatnonzero(_cold(planted))
    close = x[cold] @ x.T
    close[np.arange(len(cold)), cold] = -1
    near = np.argsort(-close, axis=1)[:, :10]
    category = items["category"].to_numpy()
    # By chance: about 1 in 16 and 1 in 20.
    assert (planted.theme[near] == planted.theme[cold][:, None]).mean() > 0.3
    assert (category[near] == category[cold][:, None]).mean() > 0.5


def test_set_mates_are_bought_by_the_same_users(planted, pairs):
    together = (pairs.T @ pairs).toarray()
    count = np.asarray(pairs.sum(0)).ravel()
    mates = (planted.sets[:, None] == planted.sets) & (planted.sets >= 0)[:, None]
    np.fill_diagonal(mates, False)
    a, b = np.nonzero(mates)
    lift = together[a, b].sum() / (count[a] * count[b] / pairs.shape[0]).sum()
    assert lift > 5


def test_users_keep_to_their_crowds(planted, pairs):
    busy = pairs[np.asarray(pairs.sum(1)).ravel() >= 20]

    def largest_share(crowds):
        """The share of a user's items that belong to the user's commonest crowd, on average."""
        counts = busy @ crowds.astype(np.float32)
        return (counts.max(1) / np.asarray(busy.sum(1)).ravel()).mean()

    shuffled = np.random.RandomState(0).permutation(planted.crowds)
    assert largest_share(planted.crowds) > 1.1 * largest_share(shuffled)


def test_discontinued_items_are_not_sold_after_their_end(planted, items, events):
    rows = pd.Index(items["item_id"]).get_indexer(events["item_id"])
    start = events["timestamp"].iloc[0] // _DAY * _DAY
    day = ((events["timestamp"] - start) // _DAY).to_numpy()
    assert (day < planted.end[rows]).all() and (day >= planted.launch[rows]).all()
    assert (planted.end < planted.end.max()).sum() > 200


def test_garden_sells_in_spring_and_festive_things_in_december(items, events):
    category = items.set_index("item_id")["category"].loc[events["item_id"]].to_numpy()
    month = pd.to_datetime(events["timestamp"], unit="s").dt.month.to_numpy()

    def share(name, months):
        return (category[np.isin(month, months)] == name).mean()

    assert share("Garden", [4, 5]) > 2 * share("Garden", [10, 11])
    assert share("Party and Festive", [12]) > 2 * share("Party and Festive", [6, 7])


@pytest.mark.slow
def test_ids_win_on_warm_items_text_on_cold_ones_and_trend_on_both(probes):
    warm, cold, total = probes["warm N@10"], probes["cold N@10"], probes["N@10"]
    assert warm["EASE"] > 1.5 * warm["text mean"]
    assert cold["text mean"] > 3 * cold["random"]
    assert cold["text mean"] > 3 * cold["EASE"]
    assert total["recent popularity"] > 1.3 * total["popularity"]
    assert total["EASE x trend"] > 1.1 * total["EASE"]
    fused = total["EASE x trend + text x trend"]
    assert fused > total["EASE x trend"] and fused > 1.2 * total["text mean x trend"]
