import math

import pytest

from tfrec_fusion.export.reference.categories import Categories


def test_counts_of_each_of_others_and_of_missing_ones():
    found = Categories.of(["web", "Läden", "web", ""])
    assert found.values == ["web", "Läden"]
    assert found.counts == [2, 1, 0, 1]
    assert found.count(["tv", "Läden", "", "tv"]).tolist() == [0, 1, 2, 1]


def test_beyond_fifty_all_are_others():
    found = Categories.of([f"c{i:02d}" for i in range(60)])
    assert found.values == [f"c{i:02d}" for i in range(50)]
    assert found.counts[-2:] == [10, 0]


def test_psi_by_hand():
    # (3.5, 1.5) / 5 against (1.5, 3.5) / 5
    found = Categories.of(["a", "a", "a", "b"])
    assert found.psi(["a", "b", "b", "b"]) == pytest.approx(0.8 * math.log(7 / 3))
    assert found.psi(["b", "a", "a", "a"]) == 0
    assert math.isnan(found.psi([]))
