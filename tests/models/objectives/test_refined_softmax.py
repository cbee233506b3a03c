import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.models import CatalogueSoftmax, RefinedSoftmax, Targets

LOG_Q = tf.math.log([0.5, 0.25, 2.0])
TARGETS = Targets(tf.constant([[0, 0], [1, 0], [1, 1]]), tf.constant([[0, 2]]), None, LOG_Q)


def test_by_hand():
    # Row 0: the target 3, and 1 / .25 = 4; the last is masked: 7 / 3.
    # Row 1: targets 3 and 1 as they are, and 4 / 2: 6 / 3 and 6 / 1.
    scores = tf.math.log([[3.0, 1.0, 5.0], [3.0, 1.0, 4.0]])
    expected = [np.log(7 / 3), (np.log(2) + np.log(6)) / 2]
    np.testing.assert_allclose(RefinedSoftmax()(TARGETS, scores), np.mean(expected), rtol=1e-6)
    # The usual correction divides the targets too: 6 and 4, of 10.
    usual = CatalogueSoftmax()(TARGETS, scores, tf.constant([2.0, 0.0]))
    np.testing.assert_allclose(usual, np.log(10 / 6), rtol=1e-6)


def test_the_gradient_is_that_of_the_paper():
    """sg(1 - p+) (log sum_j exp(s_j - log q_j) - s+), with p+ under the same estimate."""
    rng = np.random.default_rng(0)
    scores = tf.constant(rng.normal(size=(4, 6)), tf.float32)
    log_q = tf.constant(rng.normal(size=6), tf.float32)
    target = tf.constant([[0, 1], [1, 5], [2, 0], [3, 3]])
    targets = Targets(target, tf.constant([[1, 2]]), None, log_q)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(scores)
        own = tf.gather_nd(scores, target)
        others = tf.reduce_logsumexp(targets.negatives(scores), 1)
        weight = tf.stop_gradient(1 - tf.sigmoid(own - others))
        literal = tf.reduce_mean(weight * (others - own))
        ours = RefinedSoftmax()(targets, scores)
    np.testing.assert_allclose(
        tape.gradient(ours, scores), tape.gradient(literal, scores), rtol=1e-5, atol=1e-7
    )


def test_pairs_count_an_item_as_often_as_it_is_drawn():
    """Three pairs of the items a, b and a; b has the share .25 and a the share .5 of the events."""
    pairs = Targets(tf.constant([[0, 0], [1, 1], [2, 0]]), tf.zeros([0, 2], tf.int32), None)
    pairs = pairs._replace(log_q=tf.math.log([0.5, 0.25]))
    users = tf.math.log([[1.0], [2.0], [3.0]])
    items = tf.constant([[1.0], [2.0]])
    # exp of the scores: 1, 1; 2, 4; 3, 9. Among three pairs a is expected 1.5 times and occurs
    # twice, b .75 times and once: 1 + 1 / .75 over 1; 4 + 2 * 2 / 1.5 over 4; 3 + 9 / .75 over 3.
    expected = np.mean(np.log([7 / 3, 5 / 3, 5.0]))
    found = RefinedSoftmax().of_vectors(pairs, users, items)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_estimate_is_right_on_average_where_the_usual_one_is_not():
    """Uniformly drawn negatives: the mean gradient of the score of the target is near p+ - 1."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=200)
    expected = np.exp(scores[0]) / np.exp(scores).sum() - 1
    drawn = np.concatenate([np.zeros((300, 1), int), rng.integers(1, 200, (300, 50))], 1)
    values = tf.constant(scores[drawn], tf.float32)
    # The target is expected once for being the target, and 50 / 200 times by chance.
    log_q = tf.constant(np.log([1.25, *[50 / 199] * 50]), tf.float32)
    target = tf.stack([tf.range(300), tf.zeros(300, tf.int32)], 1)
    targets = Targets(target, tf.zeros([0, 2], tf.int32), None, log_q)
    errors = []
    for loss in (RefinedSoftmax(), CatalogueSoftmax()):
        with tf.GradientTape() as tape:
            tape.watch(values)
            value = loss(targets, values)
        found = 300 * tape.gradient(value, values)[:, 0]
        errors.append(abs(np.mean(found) - expected) / (1 + expected))
    assert errors[0] < 0.1 < errors[1]
