import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.embeddings import Whitening
from tfrec_fusion.errors import InputError


def _correlated(rows=500, dims=8, seed=0):
    generator = np.random.default_rng(seed)
    mix = generator.standard_normal((dims, dims))
    return generator.standard_normal((rows, dims)) @ mix + 5.0


def test_by_hand():
    # mean (2, 1); centred rows (+-3, 0), (0, +-1): covariance diag(18/4, 2/4), so z = centred
    # divided by sqrt(4.5) and sqrt(.5): 3/2.1213 = 1.4142 and 1/.70711 = 1.4142.
    x = np.array([[5.0, 1.0], [-1.0, 1.0], [2.0, 2.0], [2.0, 0.0]])
    root = 2**0.5
    expected = [[root, 0], [-root, 0], [0, root], [0, -root]]
    np.testing.assert_allclose(Whitening(epsilon=0).fit(x).transform(x), expected, atol=1e-6)
    # epsilon 1: the mean eigenvalue 2.5 is added: 3/sqrt(7) = 1.13389, 1/sqrt(3) = .57735.
    relaxed = Whitening(epsilon=1).fit(x).transform(x)
    np.testing.assert_allclose(relaxed[[0, 2]], [[1.13389, 0], [0, 0.57735]], atol=1e-5)
    # One dimension kept: the one with the largest variance.
    np.testing.assert_allclose(
        Whitening(dim=1, epsilon=0).fit(x).transform(x), np.array(expected)[:, :1], atol=1e-6
    )
    # Unit rows; the mask zeroes items that have no vector.
    unit = Whitening(epsilon=0, unit=True).fit(x).transform(x, mask=[True, False, True, True])
    np.testing.assert_allclose(unit, [[1, 0], [0, 0], [0, 1], [0, -1]], atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(7, 40), st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_covariance_is_the_identity_at_any_scale(dims, rows, seed, scale):
    x = _correlated(rows, dims, seed) * scale
    z = Whitening(epsilon=0).fit(x).transform(x).astype(np.float64)
    np.testing.assert_allclose(np.cov(z.T, bias=True).reshape(dims, dims), np.eye(dims), atol=1e-3)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-3)


def test_default_epsilon_whitens_fully_and_leading_dims_agree():
    x = _correlated()
    full = Whitening().fit(x)
    np.testing.assert_allclose(np.cov(full.transform(x).T, bias=True), np.eye(8), atol=1e-3)
    np.testing.assert_array_equal(Whitening(dim=3).fit(x).transform(x), full.transform(x)[:, :3])


def test_only_the_chosen_rows_are_learned_from():
    x = _correlated()
    changed = x.copy()
    changed[400:] = 1e3
    rows = np.arange(400)
    expected = Whitening(dim=4).fit(x, rows).transform(x[:400])
    np.testing.assert_array_equal(Whitening(dim=4).fit(changed, rows).transform(x[:400]), expected)
    mask = np.arange(500) < 400
    np.testing.assert_array_equal(Whitening(dim=4).fit(changed, mask).transform(x[:400]), expected)


@pytest.mark.parametrize("rows", [2, 5, 100])
def test_directions_without_variance_become_zero(rows):
    # Rank at most 3 of 8: the weak directions are rounding, and must not be blown up to size 1.
    generator = np.random.default_rng(0)
    x = generator.standard_normal((rows, 3)) @ generator.standard_normal((3, 8))
    z = Whitening(epsilon=0).fit(x.astype(np.float32)).transform(x)
    rank = min(3, rows - 1)
    assert np.isfinite(z).all()
    assert np.abs(z[:, rank:]).max() == 0
    np.testing.assert_allclose(np.cov(z[:, :rank].T, bias=True), np.eye(rank).squeeze(), atol=1e-3)


def test_identical_rows_become_zero():
    assert not Whitening().fit(np.ones((4, 3))).transform(np.ones((2, 3))).any()


def test_half_precision_input_is_computed_in_double():
    x = _correlated(2000, 16).astype(np.float16)
    z = Whitening(epsilon=0).fit(x).transform(x)
    assert z.dtype == np.float32
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(16), atol=1e-3)


def test_round_trip(tmp_path):
    x = _correlated()
    fitted = Whitening(dim=4, epsilon=0.5, unit=True).fit(x)
    fitted.save(tmp_path / "whitening.npz")
    loaded = Whitening.load(tmp_path / "whitening.npz")
    assert loaded.get_config() == {"dim": 4, "epsilon": 0.5, "unit": True}
    np.testing.assert_array_equal(loaded.transform(x), fitted.transform(x))
    assert [file.name for file in tmp_path.iterdir()] == ["whitening.npz"]


def test_bad_input(tmp_path):
    x = np.ones((4, 3))
    (tmp_path / "junk.npz").write_text("junk")
    np.savez(tmp_path / "other.npz", a=x)
    for call, message in (
        (lambda: Whitening(dim=0), "dim: must be a positive integer or None. Received: 0"),
        (lambda: Whitening(epsilon=-1), "epsilon: .* Received: -1"),
        (lambda: Whitening(epsilon=float("nan")), "epsilon: .* Received: nan"),
        (lambda: Whitening(dim=4).fit(x), r"than the vectors have \(3\).* Received: 4"),
        (lambda: Whitening().fit(x, [1]), "at least 2 rows to fit on. Received: 1"),
        (lambda: Whitening().fit([1.0]), "2-D array"),
        (lambda: Whitening().fit(np.full((2, 2), np.nan)), "NaN or infinity in 2 of 2"),
        (lambda: Whitening().transform(x), "not fitted"),
        (lambda: Whitening().save(tmp_path / "x.npz"), "not fitted"),
        (lambda: Whitening().fit(x).transform(np.ones((1, 2))), "must have 3 dims.* Received: 2"),
        (lambda: Whitening.load(tmp_path / "absent.npz"), "no such file"),
        (lambda: Whitening.load(tmp_path / "junk.npz"), "not written by Whitening.save"),
        (lambda: Whitening.load(tmp_path / "other.npz"), "not written by Whitening.save"),
    ):
        with pytest.raises(InputError, match=message):
            call()
