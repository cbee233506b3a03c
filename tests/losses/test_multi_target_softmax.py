import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.losses import MultiTargetSoftmax

NOTHING = tf.zeros([0, 2], tf.int32)


def test_masked_scores_leave_the_denominator():
    loss = MultiTargetSoftmax()
    scores, target = tf.constant([[0.0, 50.0, 0.0]]), tf.constant([[0, 2]])
    # Without the 50 there are two equal scores: log 2. With it: 50 (and e^-50).
    np.testing.assert_allclose(loss(scores, target, tf.constant([[0, 1]])), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(loss(scores, target, NOTHING), 50.0, rtol=1e-6)


def test_mean_over_targets_then_weighted_mean_over_rows():
    scores = tf.constant([[0.0, np.log(3.0)], [0.0, 0.0]])
    target = tf.constant([[0, 0], [0, 1], [1, 0]])
    # Row 0: softmax (1/4, 3/4): (log 4 + log 4/3) / 2. Row 1: log 2. Weights 2 and 1, over 2 rows.
    first, second = (np.log(4) + np.log(4 / 3)) / 2, np.log(2)
    actual = MultiTargetSoftmax()(scores, target, NOTHING, tf.constant([2.0, 1.0]))
    np.testing.assert_allclose(actual, (2 * first + second) / 2, rtol=1e-6)


def test_log_q_undoes_the_sampling():
    # Item 1 stands for 10 items like it, drawn with probability 1/10 each: e^0 / (1/10) = 10.
    actual = MultiTargetSoftmax()(
        tf.zeros([1, 2]), tf.constant([[0, 0]]), NOTHING, None, tf.math.log([1.0, 0.1])
    )
    np.testing.assert_allclose(actual, np.log(11.0), rtol=1e-6)


def test_masked_scores_get_no_gradient():
    scores = tf.Variable([[1.0, 2.0, 3.0]])
    with tf.GradientTape() as tape:
        loss = MultiTargetSoftmax()(scores, tf.constant([[0, 0]]), tf.constant([[0, 2]]))
    gradient = tape.gradient(loss, scores).numpy()[0]
    # Softmax of (1, 2) is (1, e) / (1 + e); less the target.
    p = np.e / (1 + np.e)
    np.testing.assert_allclose(gradient, [-p, p, 0.0], atol=1e-6)
