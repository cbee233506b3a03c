import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.layers import CandidateQueue


def _batch(*rows):
    """Items whose vectors are their rows and their squares, with log q a tenth of them."""
    values = np.array(rows, np.float32)
    return (
        tf.constant(np.stack([values, values**2], 1)),
        tf.constant(rows, tf.int32),
        tf.constant(values / 10),
    )


@pytest.mark.parametrize("in_graph", [False, True])
def test_the_last_vectors_follow_those_of_the_batch(in_graph):
    queue = CandidateQueue(3, 2)
    call = tf.function(queue, reduce_retracing=True) if in_graph else queue
    found = [call(*_batch(*rows)) for rows in ((1, 2), (3, 4), (2, 5), (6,), (7, 8, 9, 10), (7,))]
    items = [vectors.numpy()[:, 0].tolist() for vectors, _ in found]
    # (3, 4) pushes 1 out of (1, 2, 3, 4). The batch (2, 5) has its own 2, so 3 and 4 follow; kept
    # are then 4, 2 and 5. Of the four only three are kept.
    assert [sorted(values) for values in items] == [
        [1, 2],
        [1, 2, 3, 4],
        [2, 3, 4, 5],
        [2, 4, 5, 6],
        [2, 5, 6, 7, 8, 9, 10],
        [7, 8, 9],
    ]
    assert items[2][:2] == [2, 5]
    for vectors, log_q in found:
        np.testing.assert_allclose(vectors[:, 1], vectors[:, 0] ** 2)
        np.testing.assert_allclose(log_q, vectors[:, 0] / 10)


def test_only_the_batch_gets_a_gradient():
    queue = CandidateQueue(4, 2)
    queue(*_batch(1, 2))
    items, rows, log_q = _batch(3)
    with tf.GradientTape() as tape:
        tape.watch(items)
        found, _ = queue(items, rows, log_q)
        loss = tf.reduce_sum(found)
    np.testing.assert_array_equal(tape.gradient(loss, items), [[1, 1]])
    assert queue.trainable_weights == []


def test_sizes_out_of_range():
    with pytest.raises(ValueError, match=r"at least 1. Received: 0, 2"):
        CandidateQueue(0, 2)
