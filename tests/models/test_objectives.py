"""Losses over scored candidates, and what a ranker's head makes of a batch."""

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.models import BinaryHead, CatalogueSoftmax, CatalogueSquared, Objective, Targets

NOTHING = tf.zeros([0, 2], tf.int32)


def _pairs(*pairs):
    return tf.constant(pairs, tf.int32)


class Behind(Objective):
    """How far the targets are behind the best negative."""

    def call(self, targets, scores):
        best = tf.reduce_max(targets.negatives(scores), 1)
        own = tf.gather_nd(targets.logits(scores), targets.target)
        return targets.row_means(tf.gather(best, targets.target[:, 0]) - own, scores)


def test_what_an_objective_is_told_of_the_scores():
    scores = tf.constant([[5.0, 2, 4], [1, 2, 3]])
    targets = Targets(
        _pairs([0, 1], [1, 0], [1, 1]), _pairs([0, 0]), None, tf.constant([0.0, 0, 1])
    )
    # Row 0: a is masked, so the best negative is c with 4 - 1 = 3, and 3 - 2 = 1.
    # Row 1: c has 3 - 1 = 2, which is 1 and 0 before the targets: 1/2.
    # With weights 3 and 2: (3 + 1) / 2.
    loss = Behind()(targets, scores, tf.constant([3.0, 2.0]))
    assert loss.numpy() == 2.0
    # Vectors whose products are the scores.
    eye = tf.eye(3)
    assert Behind().of_vectors(targets, scores, eye, tf.constant([3.0, 2.0])).numpy() == 2.0


def test_labels_say_the_targets_and_nan_masks():
    labels = tf.constant([[1.0, 0, np.nan, -1], [0, 0, 0, 0]])
    scores = tf.constant([[1.0, 3, 9, 4], [1, 2, 3, 4]])
    # Row 0: the third does not count, so the best negative is 4, and 4 - 1 = 3. Row 1 has no
    # target, and so no loss.
    assert Behind()(labels, scores).numpy() == 1.5
    assert Behind()(labels, scores, tf.constant([[2.0], [5.0]])).numpy() == 3.0


def test_the_softmax_and_the_squared_distance_by_hand():
    targets = Targets(_pairs([0, 0], [1, 1]), _pairs([0, 1]), tf.constant([True, True, False]))
    scores = tf.math.log([[1.0, 7, 3], [2, 2, 4]])
    # 1 of 1 + 3, and 2 of 2 + 2 + 4: log 4 both times.
    softmax = CatalogueSoftmax()(targets, scores, tf.constant([1.0, 3.0]))
    np.testing.assert_allclose(softmax, np.log(4) * 2, rtol=1e-6)
    # Cosines of (3, 4, -) with a and of (0, 2, -) with b: 2 - 2 * .6 and 2 - 2 * 1.
    squared = CatalogueSquared()(targets, tf.constant([[3.0, 4, 9], [0, 2, 9]]))
    np.testing.assert_allclose(squared, 0.4, rtol=1e-6)


def test_the_softmax_of_pairs_counts_an_item_as_often_as_it_occurs():
    targets = Targets(_pairs([0, 0], [1, 1], [2, 0]), NOTHING, None, tf.math.log([0.5, 0.25]))
    users = tf.math.log([[1.0], [2.0], [3.0]])
    items = tf.constant([[1.0], [2.0]])
    # exp of the scores over q: 1 / .5 and 1 / .25 = 2, 4; then 4, 16; and 6, 36. Item 0 is the own
    # one of users 0 and 2, and twice a negative of user 1.
    expected = np.log([(2 + 4) / 2, (16 + 2 * 4) / 16, (6 + 36) / 6]).mean()
    for dtype, tolerance in (("float32", 1e-5), ("bfloat16", 0.02)):
        loss = CatalogueSoftmax(dtype).of_vectors(targets, users, items)
        np.testing.assert_allclose(loss, expected, rtol=tolerance)


@pytest.mark.parametrize("loss", [CatalogueSoftmax("bfloat16"), CatalogueSquared(name="mine")])
def test_a_config_rebuilds_an_objective(loss):
    twin = type(loss).from_config(loss.get_config())
    assert twin.get_config() == loss.get_config()


def test_a_head_reads_its_own_labels():
    head = BinaryHead("taken")
    batch = {
        "user": tf.constant([0, 1]),
        "label/taken": tf.constant([[1.0, 0], [np.nan, 1]]),
        "weight": tf.constant([2.0, 3.0]),
    }
    logits = tf.constant([[0.1, 0.2], [0.3, 0.4]])
    assert head.field == "label/taken"
    labels, flat, weights = head.examples(batch, logits)
    np.testing.assert_array_equal(labels, [[1], [0], [1]])
    np.testing.assert_allclose(flat, [[0.1], [0.2], [0.4]])
    np.testing.assert_array_equal(weights, [2, 2, 3])
    labels, lists, weights = head.lists(batch, logits)
    np.testing.assert_array_equal(labels, [[1, 0], [np.nan, 1]])
    np.testing.assert_array_equal(lists, logits)
    np.testing.assert_array_equal(weights, [2, 3])
