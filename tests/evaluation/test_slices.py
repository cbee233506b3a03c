import numpy as np
from scipy import sparse

from tfrec_fusion.evaluation.slices import item_slices, user_slices


def test_items():
    # Users of items 0..6: 2, 3, 0, 1, 1, 1, 1. Six are warm; 20 % of six, rounded up, are two.
    matrix = np.array(
        [[1, 1, 0, 1, 0, 0, 0], [1, 1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 1, 1]], np.float32
    )
    masks = item_slices(sparse.csr_matrix(matrix))
    assert np.flatnonzero(masks["cold"]).tolist() == [2]
    assert np.flatnonzero(masks["head"]).tolist() == [0, 1]
    assert np.flatnonzero(masks["tail"]).tolist() == [3, 4, 5, 6]
    np.testing.assert_array_equal(masks["warm"], ~masks["cold"])


def test_equal_popularity_goes_by_row():
    masks = item_slices(sparse.csr_matrix(np.ones((2, 5), np.float32)))
    assert np.flatnonzero(masks["head"]).tolist() == [0]


def test_users():
    matrix = np.zeros((3, 8), np.float32)
    matrix[0, :5] = 1
    matrix[1, :6] = 1
    masks = user_slices(sparse.csr_matrix(matrix))
    assert masks["new users"].tolist() == [True, False, True]
    assert masks["old users"].tolist() == [False, True, False]
