import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.retrieval.rank_fusion import merged_lists, rank_gains


def test_gains_by_hand():
    rows = tf.constant([[4, -1, 2], [-1, -1, -1]])
    gains = rank_gains(rows, 60.0, 2.0).numpy()
    np.testing.assert_allclose(gains, [[2 / 61, 0, 2 / 63], [0, 0, 0]], rtol=1e-6)


_LISTS = st.lists(
    st.lists(st.integers(0, 6), min_size=3, max_size=3, unique=True), min_size=1, max_size=3
)


@settings(max_examples=60, deadline=None)
@given(_LISTS, st.integers(0, 3))
def test_lists_are_merged_as_dicts_are(lists, missing):
    lists = [[*rows[: 3 - missing], *[-1] * missing] for rows in lists]
    expected = {}
    for place, rows in enumerate(lists):
        for rank, row in enumerate(rows):
            if row >= 0:
                expected[row] = expected.get(row, 0.0) + 1 / (1 + rank + place)
    given = [
        (
            tf.constant([rows]),
            tf.constant([[1 / (1 + r + p) * (x >= 0) for r, x in enumerate(rows)]]),
        )
        for p, rows in enumerate(lists)
    ]
    rows, gains = (values.numpy()[0] for values in merged_lists(given))
    found = {int(row): gain for row, gain in zip(rows, gains, strict=True) if row >= 0}
    assert len(rows) == 3 * len(lists) and sorted(found) == sorted(expected)
    np.testing.assert_allclose([found[row] for row in expected], [*expected.values()], rtol=1e-6)
    assert not gains[rows < 0].any()
