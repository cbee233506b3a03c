"""Items whose columns are stored in several parts."""

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.joined_items import JoinedItems
from tfrec_fusion.retrieval.stored_items import StoredItems


@pytest.mark.parametrize(("precision", "atol"), [("float32", 1e-5), ("int8", 0.2)])
def test_they_score_as_all_columns_together(precision, atol):
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(70, 7)).astype(np.float32)
    items = JoinedItems([StoredItems(columns[:, :3], precision), StoredItems(columns[:, 3:])])
    assert (items.count, items.shape) == (70, (70, 7))
    queries = rng.normal(size=(2, 7)).astype(np.float32)
    expected = queries @ columns.T
    rows = np.array([[0, 69, 3], [5, 5, 1]])
    np.testing.assert_allclose(
        items.scores_of(queries, rows), np.take_along_axis(expected, rows, 1), atol=atol
    )
    best = tf.function(lambda queries, k: items.best(queries, k, tf.constant([[0, 2]])))
    expected[0, 2] = -np.inf
    for k in (1, 40, 70):
        scores, found = best(queries, tf.constant(k))
        np.testing.assert_allclose(scores[1], -np.sort(-expected[1])[:k], atol=atol)
        assert 2 not in found[0].numpy()
        if precision == "float32":
            np.testing.assert_array_equal(found[1], np.argsort(-expected[1])[:k])


def test_by_hand():
    parts = [StoredItems(np.float32([[1], [0]])), StoredItems(np.float32([[2, 0], [0, 3]]))]
    # (1, 10, 100) . (1, 2, 0) = 21 and . (0, 0, 3) = 300.
    scores, rows = JoinedItems(parts).best(tf.constant([[1.0, 10.0, 100.0]]), 2, None)
    assert scores.numpy().tolist() == [[300, 21]] and rows.numpy().tolist() == [[1, 0]]
