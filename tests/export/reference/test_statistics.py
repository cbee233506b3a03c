import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrec_fusion.export.reference import gini, psi

pairs = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 10**6), min_size=n, max_size=n)] * 2)
)


def test_psi_by_hand():
    # (3.5, 1.5) / 5 = (.7, .3) and the reverse: (.7 - .3) ln(.7/.3) + (.3 - .7) ln(.3/.7)
    assert psi([3, 1], [1, 3]) == pytest.approx(0.8 * math.log(7 / 3))


def test_psi_of_an_empty_bin_by_hand():
    # (2.5, .5) / 3 and (1.5, 1.5) / 3; the third bin is empty in both and does not count.
    expected = (2.5 - 1.5) / 3 * math.log(2.5 / 1.5) + (0.5 - 1.5) / 3 * math.log(0.5 / 1.5)
    assert psi([2, 0, 0], [1, 1, 0]) == pytest.approx(expected)


def test_psi_of_nothing_is_not_a_number():
    assert math.isnan(psi([1, 2], [0, 0]))
    assert math.isnan(psi([0, 0], [1, 2]))


@given(pairs)
def test_psi_is_symmetric_and_never_negative(pair):
    a, b = pair
    value = psi(a, b)
    if sum(a) and sum(b):
        assert value >= 0
        assert value == pytest.approx(psi(b, a))
        assert psi(a, a) == 0
    else:
        assert math.isnan(value)


def test_psi_without_drift_is_about_bins_less_one_by_rows():
    rng = np.random.default_rng(0)
    samples = rng.multinomial(1000, [0.1] * 10, size=(400, 2))
    # 9 (1/1000 + 1/1000)
    assert np.mean([psi(a, b) for a, b in samples]) == pytest.approx(0.018, rel=0.1)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([5, 5, 5], 0),
        ([0, 0, 0, 8], 3 / 4),
        # 2 (1*1 + 2*3) / (2 * 4) - 3/2
        ([3, 1], 0.25),
    ],
)
def test_gini_by_hand(counts, expected):
    assert gini(counts) == pytest.approx(expected)


def test_gini_of_nothing_is_not_a_number():
    assert math.isnan(gini([0, 0]))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.randoms())
def test_gini_does_not_depend_on_the_order_or_the_unit(counts, random):
    if not sum(counts):
        return
    shuffled = random.sample(counts, len(counts))
    assert gini(shuffled) == pytest.approx(gini(counts), abs=1e-9)
    assert gini(np.array(counts) * 7) == pytest.approx(gini(counts), abs=1e-9)
    assert -1e-9 <= gini(counts) <= (len(counts) - 1) / len(counts) + 1e-9
