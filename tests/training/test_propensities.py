import numpy as np
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.training import (
    examination_propensities,
    gain_labels,
    inverse_propensity_weights,
)


def _log(theta, gamma, rows, seed=0, features=None):
    """A log of random pairs at random positions."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, len(gamma), rows)
    positions = rng.integers(1, len(theta) + 1, rows)
    chance = np.asarray(theta)[positions - 1] * np.asarray(gamma)[pairs]
    return pairs, positions, rng.random(rows) < chance


def test_one_step_by_hand():
    # Pair 7 at position 1: 4 views, 2 clicks; at 2: 4 views, 1 click. theta = gamma = 1/2.
    # A view without a click was examined, and wanted, with 1/2 (1 - 1/2) / (1 - 1/4) = 1/3:
    # theta_1 = (2 + 2/3) / 4 = 2/3, theta_2 = (1 + 3/3) / 4 = 1/2, gamma = (3 + 5/3) / 8 = 7/12.
    pairs, positions = np.full(8, 7), np.repeat([1, 2], 4)
    clicks = np.array([1, 1, 0, 0, 1, 0, 0, 0])
    one = examination_propensities(pairs, positions, clicks, iterations=1)
    np.testing.assert_allclose(one, [1, 3 / 4])
    # Then 1 - theta_1 gamma = 11/18, and theta_1 = (2 + 2 * 2/3 * 5/12 / (11/18)) / 4 = 8/11;
    # 1 - theta_2 gamma = 17/24, and theta_2 = (1 + 3 * 1/2 * 5/12 / (17/24)) / 4 = 8/17.
    two = examination_propensities(pairs, positions, clicks, iterations=2)
    np.testing.assert_allclose(two, [1, 11 / 17])


def test_the_ratio_of_click_rates_where_all_pairs_are_shown_alike():
    # Both pairs at both positions 100 times each: clicks 40 and 20, 20 and 10. The fit is exact.
    pairs, positions, clicks = [], [], []
    for pair, position, taken in ((0, 1, 40), (0, 2, 20), (1, 1, 20), (1, 2, 10)):
        pairs += [pair] * 100
        positions += [position] * 100
        clicks += [1] * taken + [0] * (100 - taken)
    found = examination_propensities(np.array(pairs), np.array(positions), np.array(clicks))
    np.testing.assert_allclose(found, [1, 0.5], atol=1e-3)


def test_it_is_found_from_the_log_alone():
    theta = 1 / np.arange(1, 7)
    gamma = np.linspace(0.05, 0.9, 80)
    found = examination_propensities(*_log(theta, gamma, 60_000))
    np.testing.assert_allclose(found, theta, atol=0.03)
    # Click rates alone would not do where good pairs stand first.
    pairs, positions, clicks = _log(theta, gamma, 60_000)
    kept = np.random.default_rng(1).random(len(pairs)) < np.where(
        (positions <= 2) == (gamma[pairs] > 0.5), 1.0, 0.1
    )
    log = pairs[kept], positions[kept], clicks[kept]
    rates = np.bincount(log[1], log[2])[1:] / np.bincount(log[1])[1:]
    assert np.abs(rates / rates[0] - theta).max() > 0.1
    np.testing.assert_allclose(examination_propensities(*log), theta, atol=0.06)


def test_features_tell_pairs_alike_that_are_shown_at_one_position():
    """Without features a pair that has one position says nothing of the others."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4000, 3)) * [1, 5, 0]
    gamma = 1 / (1 + np.exp(1 - 1.5 * features[:, 0]))
    position_of = rng.integers(1, 5, len(gamma))
    pairs = np.repeat(np.arange(len(gamma)), 10)
    positions, theta = position_of[pairs], np.array([1, 0.6, 0.3, 0.15])
    clicks = rng.random(len(pairs)) < theta[positions - 1] * gamma[pairs]
    found = examination_propensities(pairs, positions, clicks, features=features)
    np.testing.assert_allclose(found, theta, atol=0.05)


def test_a_start_near_one_hardly_moves():
    log = _log([1, 0.5, 0.25], np.linspace(0.1, 0.8, 30), 20_000)
    # What is not clicked was examined, and so not wanted: at 1 itself theta never falls.
    stuck = examination_propensities(*log, start=1 - 1e-12, iterations=100)
    np.testing.assert_allclose(stuck, 1, atol=1e-2)
    moved = examination_propensities(*log, start=0.5, iterations=100)
    assert moved[2] < 0.3
    with pytest.raises(InputError, match=r"from 1 the estimate never moves. Received: 1"):
        examination_propensities(*log, start=1)


def test_weights_and_gains():
    theta = np.array([1, 0.5, 0.02])
    weights = inverse_propensity_weights(np.array([[1, 2], [3, 8]]), theta, clip=20)
    np.testing.assert_allclose(weights, [[1, 2], [20, 20]])
    np.testing.assert_allclose(2 ** gain_labels([0, 2, 20]) - 1, [0, 2, 20])
    for positions, table, clip, told in (
        ([0, 1], theta, 10, "positions begin with 1. Received: 0"),
        ([1], [1, 0], 10, "must be a number above 0 for each position"),
        ([1], [np.inf], 10, "must be a number above 0 for each position"),
        ([1.5], theta, 10, "positions must be whole numbers"),
        ([1], theta, 0.5, "clip must be at least 1. Received: 0.5"),
    ):
        with pytest.raises(InputError, match=told):
            inverse_propensity_weights(np.array(positions), table, clip)
    for wrong in (-0.5, np.nan, np.inf):
        with pytest.raises(InputError, match="gain_labels: weights must be finite, at least 0"):
            gain_labels([1.0, wrong])


@pytest.mark.parametrize(
    "change, told",
    [
        ({"clicks": [0, 0, 0]}, "clicks must be 0 or 1, and some 1. Received: no clicks"),
        ({"clicks": [0, 2, 1]}, "Received: 2.0"),
        ({"positions": [0, 1, 1]}, "positions begin with 1. Received: 0"),
        ({"positions": [1, 3, 1]}, r"e.g. np.minimum\(positions, 10\). Received: none at 2"),
        ({"pairs": [1, 2]}, r"of equal length. Received: \(2,\), \(3,\), \(3,\)"),
        ({"features": np.ones((2, 1))}, r"shape \(2, 1\) and pairs from 0 to 2"),
        ({"features": np.full((3, 1), np.nan)}, "features must be finite. Received: 3 numbers"),
        ({}, "each pair stands at one position only"),
        ({"clicks": [0, 1, 0]}, "the first position needs clicks"),
        ({"positions": [1, 1.5, 1]}, "positions must be whole numbers"),
        ({"positions": ["1", "2", "1"]}, "positions must be whole numbers"),
        ({"pairs": [0, np.nan, 2]}, "pairs must be whole numbers"),
        ({"iterations": 0}, "iterations must be a whole number of at least 1 .* Received: 0"),
        ({"l2": np.nan}, "l2 a number of at least 0"),
    ],
)
def test_errors(change, told):
    log = {"pairs": [0, 1, 2], "positions": [1, 2, 1], "clicks": [1, 0, 0]}
    with pytest.raises(InputError, match=f"examination_propensities: .*{told}"):
        examination_propensities(**(log | change))
