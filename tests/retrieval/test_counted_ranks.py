import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.retrieval import counted_ranks as ranking
from tfrec_fusion.retrieval.counted_ranks import count_ranks, top_items


@given(st.integers(1, 200), st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_counts_equal_the_rank_in_a_full_sort(n_items, n_users, seed):
    generator = np.random.default_rng(seed)
    scores = generator.permuted(np.tile(np.arange(n_items, dtype=np.float32), (n_users, 1)), axis=1)
    targets = [
        generator.choice(n_items, generator.integers(0, n_items + 1), replace=False)
        for _ in range(n_users)
    ]
    splits = np.concatenate([[0], np.cumsum([len(t) for t in targets])])
    target_scores = np.concatenate([row[t] for row, t in zip(scores, targets, strict=True)])
    rank = np.empty_like(scores, dtype=np.int64)
    np.put_along_axis(rank, np.argsort(-scores, axis=1), np.arange(n_items)[None], axis=1)
    greater, equal = count_ranks(scores, splits, target_scores.astype(np.float32))
    expected = np.concatenate([row[t] for row, t in zip(rank, targets, strict=True)])
    np.testing.assert_array_equal(greater, expected)
    np.testing.assert_array_equal(equal, np.ones(len(expected)))


def test_many_targets_are_compared_in_pieces(monkeypatch):
    scores = np.random.default_rng(0).integers(0, 5, (2, 40)).astype(np.float32)
    splits = np.array([0, 40, 80])
    whole = count_ranks(scores, splits, scores.ravel())
    monkeypatch.setattr(ranking, "_COMPARED", 120)  # three targets at a time
    pieces = count_ranks(scores, splits, scores.ravel())
    np.testing.assert_array_equal(whole, pieces)


def test_masked_items_count_nowhere():
    # Items 1 and 2 are masked; of the others, item 0 (3.0) beats the target's 1.0, item 3 ties.
    scores = np.array([[3.0, -np.inf, -np.inf, 1.0, 1.0]], np.float32)
    greater, equal = count_ranks(scores, np.array([0, 1]), np.array([1.0], np.float32))
    assert (greater.tolist(), equal.tolist()) == ([1], [2])


@given(
    st.integers(1, 300),
    st.integers(1, 40),
    st.sampled_from([1, 3, 1000]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_top_items_equal_a_stable_full_sort(n_items, k, levels, seed):
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, levels, (4, n_items)).astype(np.float32)
    scores[generator.random(scores.shape) < 0.3] = -np.inf
    lists = top_items(scores, k)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    expected = np.full((4, k), -1)
    expected[:, : order.shape[1]] = np.where(
        np.take_along_axis(scores, order, axis=1) > -np.inf, order, -1
    )
    np.testing.assert_array_equal(lists, expected)
    assert lists.dtype == np.int32


@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_top_items_of_nothing(shape):
    assert (top_items(np.empty(shape, np.float32), 3) == -1).all()
