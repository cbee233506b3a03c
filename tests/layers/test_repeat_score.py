import numpy as np
import pytest

from tfrec_fusion.layers import RepeatScore


def _layer(features):
    """A layer whose score is the sum of these of the seven features."""
    layer = RepeatScore(hidden=2)
    layer(np.zeros((1, 3), np.float32), [0], [0], [0.0])
    layer.linear.kernel.assign(np.isin(np.arange(8), features).astype(np.float32)[:, None])
    return layer


# Row 0 has item 7 twice, 30 and 0 days ago, and item 2; row 1 has item 7 once.
ITEMS, ROWS, AGES = [7, 2, 7, 7], [0, 0, 0, 1], [30.0, 7.0, 0.0, 90.0]


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (0, np.log1p([2, 1, 1])),
        (1, np.log1p([np.exp(-30 / 7) + 1, np.exp(-1), np.exp(-90 / 7)])),
        (3, np.log1p([np.exp(-1 / 3) + 1, np.exp(-7 / 90), np.exp(-1)])),
        (5, np.log1p([3, 3, 1])),
        (6, np.log1p([0, 7, 90]) / 4),
        (7, np.log1p([30, 7, 90]) / 4),
    ],
)
def test_scores_follow_frequency_and_recency(feature, expected):
    pairs, scores = _layer([feature])(np.zeros((4, 3), np.float32), ITEMS, ROWS, AGES)
    assert pairs.numpy().tolist() == [[0, 7], [0, 2], [1, 7]]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_items_differ_by_their_vectors():
    layer = _layer([])
    layer.hidden.kernel.assign(np.eye(11, 2, -8, dtype=np.float32))
    layer.last.kernel.assign([[1.0], [0.0]])
    vectors = np.array([[2, 0, 0], [3, 0, 0], [2, 0, 0], [2, 0, 0]], np.float32)
    _, scores = layer(vectors, ITEMS, ROWS, AGES)
    np.testing.assert_allclose(scores, [2, 3, 2])


def test_it_starts_at_zero_and_takes_no_events():
    layer = RepeatScore()
    pairs, scores = layer(np.ones((2, 3), np.float32), [1, 2], [0, 1], [0.0, 5.0])
    assert scores.numpy().tolist() == [0, 0]
    pairs, scores = layer(
        np.zeros((0, 3), np.float32),
        np.zeros(0, np.int32),
        np.zeros(0, np.int32),
        np.zeros(0, np.float32),
    )
    assert pairs.shape == (0, 2) and scores.shape == (0,)
