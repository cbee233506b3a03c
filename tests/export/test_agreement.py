import numpy as np
import pytest

from tfrec_fusion.export.agreement import difference


def _ids(*rows):
    return np.array([list(row) for row in rows], object)


SCORES = np.array([[3.0, 2.0, 2.0, 1.0, 0.5]])
IDS = _ids("abcde")


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        (IDS, ""),
        (_ids([b"a", b"b", b"c", b"d", b"e"]), ""),
        (_ids("acbde"), ""),  # b and c score alike
        (_ids("abcdx"), ""),  # what scores like the last may stand behind the end
        (_ids("bacde"), "item_id differs in 1 places"),  # b may stand third, but a not second
        (_ids("abcd"), "item_id has the shape (1, 4), not (1, 5)"),
    ],
)
def test_ids_may_only_change_places_with_ids_that_score_alike(ids, found):
    assert difference({"item_id": ids, "score": SCORES}, {"item_id": IDS, "score": SCORES}) == found


def test_numbers_may_differ_by_a_hundred_thousandth():
    expected = {"score": np.array([[1.0, np.nan, -np.inf, 1e6]])}
    assert difference({"score": expected["score"] * (1 + 9e-6)}, expected) == ""
    assert difference({"score": expected["score"] + [[2e-4, 0, 0, 0]]}, expected) == (
        "score differs by 0.0002"
    )
    assert difference({}, expected) == "output score is missing"
