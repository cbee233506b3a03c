import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.training.ensemble_selection import ensemble_selection, ndcg


def test_weights_by_hand():
    """Two users with three candidates, of which the first is the target.

    a ranks it first for the one user and last for the other, b the reverse: (1 + 1 / 2) / 2 = .75
    each. a + b is (1.5, 1, .4) and (2, 1, .5): 1. With a second a it is (3.5, 2, .4) and
    (1, 2, .5), and with a second b (1, 1, .8) and (5, 1, 1): 1 again.
    """
    a = [[2.0, 1.0, 0.0], [-1.0, 1.0, 0.0]]
    b = [[-0.5, 0.0, 0.4], [3.0, 0.0, 0.5]]
    hits = np.array([[True, False, False], [True, False, False]])
    terms = np.array([a, b], np.float32)
    one = np.array([1, 1])
    assert ndcg(terms[0], hits, one).tolist() == [1.0, 0.5]
    assert ndcg(terms[1], hits, one).tolist() == [0.5, 1.0]
    assert ensemble_selection(terms, hits, one, steps=1).tolist() == [1, 0]
    assert ensemble_selection(terms, hits, one, steps=2).tolist() == [1, 1]
    assert ensemble_selection(terms, hits, one, steps=3).tolist() == [1, 1]


def test_relevant_items_that_are_no_candidates_count():
    hits = np.array([[True, False]])
    scores = np.array([[1.0, -np.inf]], np.float32)
    # Of two relevant items one is found, at the first place.
    np.testing.assert_allclose(ndcg(scores, hits, np.array([2])), [1 / (1 + 1 / np.log2(3))])
    # What is no candidate is no hit, though the list has room for it.
    assert ndcg(scores, hits[:, ::-1], np.array([1])).tolist() == [0.0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 8))
def test_it_is_at_least_as_good_as_the_best_member(seed, members, steps):
    generator = np.random.default_rng(seed)
    terms = generator.standard_normal((members, 20, 15)).astype(np.float32)
    hits = generator.random((20, 15)) < 0.2
    hits[:, 0] = True
    relevant = hits.sum(1)
    counts = ensemble_selection(terms, hits, relevant, steps)
    assert 1 <= counts.sum() <= steps
    found = ndcg(np.tensordot(counts.astype(np.float32), terms, 1), hits, relevant).mean()
    assert found >= max(ndcg(one, hits, relevant).mean() for one in terms) - 1e-6
    # The order of the members does not matter.
    again = ensemble_selection(terms[::-1], hits, relevant, steps)
    assert again[::-1].tolist() == counts.tolist()


def test_a_member_that_helps_in_part_gets_a_small_share():
    """b alone is noise but for the ties of a."""
    generator = np.random.default_rng(0)
    hits = np.zeros((200, 30), bool)
    hits[np.arange(200), generator.integers(0, 30, 200)] = True
    a = np.where(hits, 2.0, generator.integers(0, 3, hits.shape)).astype(np.float32)
    b = (hits + generator.standard_normal(hits.shape)).astype(np.float32)
    counts = ensemble_selection(np.stack([a, b]), hits, np.ones(200, int), steps=20)
    assert counts[0] > counts[1] > 0
    alone, both = (
        ndcg(s, hits, np.ones(200, int)).mean() for s in (a, counts[0] * a + counts[1] * b)
    )
    assert both > alone + 0.02


@pytest.mark.parametrize("steps", [1, 5])
def test_of_equal_members_the_first_counts_alone(steps):
    terms = np.array([[[2.0, 1.0]], [[2.0, 1.0]]], np.float32)
    counts = ensemble_selection(terms, np.array([[True, False]]), np.array([1]), steps)
    assert counts.tolist() == [1, 0]
