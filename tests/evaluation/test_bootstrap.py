import numpy as np
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import paired_bootstrap
from tfrec_fusion.evaluation.bootstrap import interval, resampled_means
from tfrec_fusion.evaluation.pooling import pool


def test_the_interval_is_that_of_the_normal_approximation():
    # 10,000 users, half 0 and half 1: standard error sqrt(.25 / 10,000) = .005.
    values = np.tile([0.0, 1.0], 5_000)[:, None]
    low, high = interval(resampled_means(values, 2_000, 0)[:, 0])
    assert low == pytest.approx(0.5 - 1.96 * 0.005, abs=0.001)
    assert high == pytest.approx(0.5 + 1.96 * 0.005, abs=0.001)


def test_resamples_repeat_with_the_seed_and_are_shared_by_the_metrics():
    values = np.random.default_rng(0).random((50, 1))
    both = np.hstack([values, 2 * values])
    means = resampled_means(both, 100, 3)
    np.testing.assert_array_equal(means, resampled_means(both, 100, 3))
    np.testing.assert_allclose(means[:, 1], 2 * means[:, 0])
    assert not np.array_equal(means, resampled_means(both, 100, 4))


def test_a_pairing_sees_what_two_intervals_hide():
    # Users differ by far more than the models do; each user is .01 better under a.
    b = np.random.default_rng(0).random(200)
    found = paired_bootstrap(b + 0.01, b)
    assert found.difference == pytest.approx(0.01)
    assert found.low == pytest.approx(0.01)
    assert found.p_value == pytest.approx(2 / 1001)


def test_equal_models_do_not_differ():
    a = np.random.default_rng(1).random(200)
    assert paired_bootstrap(a, a) == (0.0, 0.0, 0.0, 1.0)


def test_a_user_of_several_values_is_drawn_with_all_of_them():
    # Of u, u, v the differences are 1, 0 and 4: resamples of two users are uu with a mean of 1 / 2,
    # vv with 4, and uv with 5 / 3; each value alone could also give 0 or 1.
    a, users = np.array([1.0, 0.0, 4.0]), np.array(["u", "u", "v"])
    found = paired_bootstrap(a, np.zeros(3), users=users, bootstrap=100)
    assert found[:3] == pytest.approx((5 / 3, 1 / 2, 4))
    # As `pool` draws them, of two origins.
    parts = [users[[0, 2]], users[[1]]], [a[[0, 2], None], a[[1], None]]
    _, pooled = pool(*parts, by_origin=False, bootstrap=100, seed=0)
    assert found[1:3] == pytest.approx((pooled.min(), pooled.max()))
    alone = paired_bootstrap(a, np.zeros(3), users=np.arange(3), bootstrap=100)
    assert alone == paired_bootstrap(a, np.zeros(3), bootstrap=100)
    assert alone.low < found.low
    with pytest.raises(InputError, match=r"users must be the ids.*Received: shape \(2,\) for 3"):
        paired_bootstrap(a, np.zeros(3), users=users[:2])


@pytest.mark.parametrize(
    ("a", "b", "bootstrap", "words"),
    [
        ([0.1, 0.2], [0.1], 10, "shapes"),
        ([], [], 10, "at least"),
        ([[0.1]], [[0.1]], 10, "shapes"),
        ([np.nan], [0.1], 10, "finite"),
        ([0.1], [0.1], 1, "bootstrap must be at least 2. Received: 1"),
    ],
)
def test_bad_input(a, b, bootstrap, words):
    with pytest.raises(InputError, match=words) as error:
        paired_bootstrap(a, b, bootstrap=bootstrap)
    assert "\n" not in str(error.value)
