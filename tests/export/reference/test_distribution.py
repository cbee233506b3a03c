import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tfrec_fusion.export.reference.distribution import Distribution

numbers = st.lists(st.floats(-100, 100).map(lambda x: round(x, 2)), min_size=1, max_size=60)


def test_deciles_bound_the_bins():
    found = Distribution.of(np.arange(101))
    assert found.edges == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    # 0..10, 11..20, ..., 91..100, and no missing one
    assert found.counts == [11, *[10] * 9, 0]
    assert found.mean == 50
    assert found.count([-5, 10, 10.5, 1000, math.nan]).tolist() == [2, 1, *[0] * 7, 1, 1]


def test_equal_deciles_are_one_edge():
    # The first eight deciles are 1 and the ninth is 4, which has nothing above it.
    found = Distribution.of([1] * 85 + [4] * 15)
    assert found.edges == [1]
    assert found.counts == [85, 15, 0]


def test_one_value_alone_has_no_edge():
    found = Distribution.of([2, 2, 2])
    assert (found.edges, found.counts) == ([], [3, 0])
    assert found.ks([2, 2]) == 0
    assert found.ks([1, 2]) == 0.5
    assert math.isnan(found.shift([3]))


def test_no_value():
    found = Distribution.of([math.nan, math.nan])
    assert found.counts == [0, 2]
    assert math.isnan(found.ks([1.0]))
    assert found.psi([math.nan]) == 0
    assert math.isnan(Distribution.of([1, 2]).psi([]))


def test_shift_is_in_standard_deviations():
    # mean 2, variance (1 + 0 + 1) / 3
    assert Distribution.of([1, 2, 3]).shift([4, math.nan]) == pytest.approx(2 / math.sqrt(2 / 3))


def test_ks_by_hand():
    found = Distribution.of(np.arange(101))
    # Of the values none is below 60, and the percentile 60 says that .6 of the reference are.
    assert found.ks([60, 100]) == pytest.approx(0.6)
    assert found.ks([200]) == 1


@given(numbers)
def test_nothing_has_drifted_from_itself(values):
    found = Distribution.of(values)
    assert found.psi(values) == 0
    # Percentiles lie between the values.
    assert found.ks(values) <= 1 / len(values) + 0.0101
    assert sum(found.counts) == len(values)
    shift = found.shift(values)
    assert math.isnan(shift) or shift == pytest.approx(0, abs=1e-6)


def test_ks_is_that_of_the_samples_up_to_a_percent():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=2000), rng.normal(0.4, 1.3, size=1500)
    expected = scipy.stats.ks_2samp(a, b).statistic
    assert Distribution.of(a).ks(b) == pytest.approx(expected, abs=0.01)
