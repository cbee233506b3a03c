"""Codes of vectors by residual k-means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tfrec_fusion.embeddings import SemanticIds, Whitening
from tfrec_fusion.errors import InputError

# Two groups around +-10 on the first axis; in each, two halves +-1 on the second.
CORNERS = np.array([[-10.0, -1.0], [-10.0, 1.0], [10.0, -1.0], [10.0, 1.0]])


def _by_hand(**options):
    return SemanticIds(**{"levels": 2, "codes": 2, "whitening_dim": None} | options)


def test_residual_codes_by_hand():
    ids = _by_hand().fit(np.repeat(CORNERS, 4, 0))
    # Level 1 has the means (+-10, 0), and what they leave is (0, +-1) in both groups.
    assert sorted(map(tuple, ids.codebooks[0])) == [(-10, 0), (10, 0)]
    assert sorted(map(tuple, ids.codebooks[1])) == [(0, -1), (0, 1)]
    first, second = ids.encode(CORNERS).T
    assert first[0] == first[1] != first[2] == first[3]
    assert second[0] == second[2] != second[1] == second[3]
    # The variance is 100 + 1: the groups leave 1 of it.
    np.testing.assert_allclose(ids.errors, [1 / 101, 0], rtol=1e-6)
    codes = ids.encode(CORNERS)
    np.testing.assert_array_equal(ids.decode(codes), CORNERS)
    np.testing.assert_array_equal(ids.decode(codes[:, :1]), CORNERS * [1, 0])
    # A new vector is coded by what is nearest: (9, 0.4) is in the group of +10, and its rest
    # (-1, 0.4) is nearer to (0, 1) than to (0, -1).
    np.testing.assert_array_equal(ids.encode([[9.0, 0.4]]), codes[3:])


def test_a_missing_vector_has_no_codes():
    ids = _by_hand().fit(np.repeat(CORNERS, 4, 0))
    codes = ids.encode(CORNERS, [True, False, True, True])
    assert codes[1].tolist() == [-1, -1]
    assert (codes[[0, 2, 3]] >= 0).all()
    assert ids.decode(codes)[1].tolist() == [0, 0]


def test_it_is_fitted_on_the_given_rows_alone():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 6))
    warm = np.arange(300) < 200
    moved = np.where(warm[:, None], vectors, vectors + 5)
    one, other = (SemanticIds(2, 8).fit(v, warm) for v in (vectors, moved))
    np.testing.assert_array_equal(one.codebooks, other.codebooks)
    np.testing.assert_array_equal(one.encode(vectors), other.encode(vectors))


def test_small_catalogues_take_fewer_codes():
    rng = np.random.default_rng(0)
    for n, codes in ((2, 1), (15, 1), (16, 2), (80, 10), (8 * 256, 256)):
        ids = SemanticIds(1).fit(rng.normal(size=(n, 4)))
        assert ids.codebooks.shape[:2] == (1, codes)


def test_whitening_makes_directions_equal_before_clustering():
    """The first axis is a hundred times longer, but the second separates the groups."""
    rng = np.random.default_rng(0)
    group = np.arange(64) % 2
    vectors = np.stack([rng.uniform(-100, 100, 64), 2.0 * group - 1], 1)
    vectors[:, 1] += rng.uniform(-0.01, 0.01, 64)
    raw = _by_hand(levels=1).fit(vectors).encode(vectors)[:, 0]
    assert 0.2 < np.mean(raw == group) < 0.8
    white = _by_hand(levels=1, whitening_dim=2).fit(vectors).encode(vectors)[:, 0]
    assert np.mean(white == group) in (0, 1)
    # They are those of whitened rows of length 1.
    fitted = Whitening(2, unit=True).fit(vectors).transform(vectors)
    ids = _by_hand(levels=1, whitening_dim=2).fit(vectors)
    rest = fitted - ids.decode(ids.encode(vectors))
    variance = np.square(fitted - fitted.mean(0)).sum()
    np.testing.assert_allclose(ids.errors, np.square(rest).sum() / variance, rtol=1e-4)


def test_equal_seeds_give_equal_codes_and_a_large_table_is_sampled():
    vectors = np.random.default_rng(0).normal(size=(3000, 3)).astype(np.float32)
    one, same, other = (SemanticIds(2, 4, seed=seed).fit(vectors) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.encode(vectors), same.encode(vectors))
    assert (one.encode(vectors) != other.encode(vectors)).any()


@settings(max_examples=40, deadline=None)
@given(
    vectors=arrays(np.float64, (40, 3), elements=st.floats(-50, 50, width=16)),
    levels=st.integers(1, 4),
    codes=st.integers(1, 5),
    whitening_dim=st.sampled_from([None, 2]),
)
def test_no_level_raises_the_error_of_decoding(vectors, levels, codes, whitening_dim):
    ids = SemanticIds(levels, codes, whitening_dim).fit(vectors)
    assert (np.diff(ids.errors) <= 1e-6).all()
    assert (ids.errors >= 0).all()
    found = ids.encode(vectors)
    assert ((found >= 0) & (found < codes)).all()
    targets = np.asarray(vectors, np.float32)
    if ids.whitening is not None:
        targets = ids.whitening.transform(targets)
    variance = max(np.square(targets - targets.mean(0)).sum(), 1e-12)
    for level in range(levels):
        error = np.square(targets - ids.decode(found[:, : level + 1])).sum()
        assert error / variance == pytest.approx(ids.errors[level], rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("whitening_dim", [None, 3])
def test_a_file_comes_back(whitening_dim, tmp_path):
    vectors = np.random.default_rng(0).normal(size=(60, 5))
    ids = SemanticIds(2, 4, whitening_dim, seed=3).fit(vectors)
    ids.save(tmp_path / "ids.npz")
    loaded = SemanticIds.load(tmp_path / "ids.npz")
    assert loaded.get_config() == ids.get_config()
    np.testing.assert_array_equal(loaded.encode(vectors), ids.encode(vectors))
    np.testing.assert_array_equal(loaded.errors, ids.errors)


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"codes must be a positive whole number. Received: 0"):
        SemanticIds(codes=0)
    with pytest.raises(InputError, match=r"at least 2 vectors to fit on. Received: 1"):
        SemanticIds().fit(np.ones((1, 3)))
    with pytest.raises(InputError, match="not fitted; call"):
        SemanticIds().encode(np.ones((1, 3)))
    with pytest.raises(InputError, match=r"must have 2 dims, as in fit.* Received: 3"):
        _by_hand().fit(CORNERS).encode(np.ones((1, 3)))
    with pytest.raises(InputError, match="no such file"):
        SemanticIds.load(tmp_path / "none.npz")
    Whitening().fit(CORNERS).save(tmp_path / "other.npz")
    with pytest.raises(InputError, match=r"not written by SemanticIds.save"):
        SemanticIds.load(tmp_path / "other.npz")
