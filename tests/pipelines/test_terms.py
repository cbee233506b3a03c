"""Ranks and z-scores by hand, and their forms in a graph against those in NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.pipelines import served_terms, terms

EVERY = np.ones((1, 4), bool)


def _row(*values):
    return np.array([values], np.float32)


def test_ranks_by_hand():
    # 7 is first; the two 5s share ranks 2 and 3; 1 is fourth.
    found = terms.reciprocal_ranks(_row(5, 7, 1, 5), EVERY, 10.0)
    np.testing.assert_allclose(found, _row(1 / 12.5, 1 / 11, 1 / 14, 1 / 12.5))


def test_items_that_are_no_candidates_take_no_rank_and_tie_behind():
    candidates = np.array([[True, False, True, False]])
    # The candidates are 5 and 1; the others share ranks 3 and 4.
    found = terms.reciprocal_ranks(_row(5, 7, 1, 9), candidates, 1.0)
    np.testing.assert_allclose(found, _row(1 / 2, 1 / 4.5, 1 / 3, 1 / 4.5))


def test_scores_that_differ_by_rounding_tie():
    big = np.float32(1000)
    found = terms.reciprocal_ranks(_row(big, np.nextafter(big, 0), 5, 5.001), EVERY, 1.0)
    np.testing.assert_allclose(found, _row(1 / 2.5, 1 / 2.5, 1 / 5, 1 / 4))


def test_a_constant_member_says_nothing():
    ranks = terms.reciprocal_ranks(_row(0.1, 0.1, 0.1, 0.1), EVERY, 10.0)
    np.testing.assert_allclose(ranks, np.full((1, 4), 1 / 12.5))
    near = np.nextafter(np.float32(0.1), np.float32(1))
    for scores in (_row(0.1, 0.1, 0.1, 0.1), _row(0.1, near, 0.1, near), _row(0, 0, 0, 0)):
        np.testing.assert_array_equal(terms.z_scores(scores, EVERY), np.zeros((1, 4)))


def test_z_scores_by_hand():
    # Of 1, 3 and 5 the mean is 3 and the standard deviation sqrt(8 / 3).
    candidates = np.array([[True, True, True, False]])
    found = terms.z_scores(_row(1, 3, 5, 11), candidates)
    np.testing.assert_allclose(found, _row(-2, 0, 2, 8) / np.sqrt(8 / 3), rtol=1e-6)


def test_a_user_without_candidates_has_finite_terms():
    nothing = np.zeros((1, 4), bool)
    assert np.isfinite(terms.z_scores(_row(1, 3, 5, 11), nothing)).all()
    found = terms.reciprocal_ranks(_row(1, 3, 5, 11), nothing, 10.0)
    np.testing.assert_allclose(found, np.full((1, 4), 1 / 12.5))


def test_values_are_dealt_out_in_another_order():
    # The order is c, then a and d, which tie for the second and third value, then b.
    found = terms.reordered(_row(4, 3, 1, 2), _row(5, 0, 9, 5))
    np.testing.assert_allclose(found, _row(2.5, 1, 4, 2.5))


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 3),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["some values", "many values", "constant"]),
)
def test_the_operations_say_what_numpy_says(batch, n_items, seed, kind):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(batch, n_items + 1)).astype(np.float32)
    if kind == "some values":
        scores = np.rint(scores)
    elif kind == "constant":
        scores[:] = 0.3
    candidates = rng.random((batch, n_items)) < 0.8
    known = scores[:, :-1]
    found = served_terms.reciprocal_ranks(tf.constant(scores), tf.constant(candidates), 10.0)
    wanted = terms.reciprocal_ranks(known, candidates, 10.0)
    np.testing.assert_allclose(found[:, :-1], wanted, atol=1e-6)
    # An unknown item ranks as a further candidate, which takes the place of no other.
    with_it = np.concatenate([candidates, np.ones((batch, 1), bool)], 1)
    last = terms.reciprocal_ranks(scores, with_it, 10.0)[:, -1]
    np.testing.assert_allclose(found[:, -1], last, atol=1e-6)
    found = served_terms.z_scores(tf.constant(scores), tf.constant(candidates))
    np.testing.assert_allclose(found[:, :-1], terms.z_scores(known, candidates), atol=1e-5)
    other = rng.normal(size=known.shape).astype(np.float32)
    found = served_terms.reordered(tf.constant(other), tf.constant(known)).numpy()
    np.testing.assert_allclose(found, terms.reordered(other, known), atol=1e-5)
    assert found.sum() == pytest.approx(other.sum(), abs=1e-3)
