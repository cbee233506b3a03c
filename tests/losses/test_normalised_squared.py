import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.losses import NormalisedSquared

LOGITS = tf.constant([[3.0, 4.0, 0.0], [1.0, -1.0, 1.0]])
TARGET = tf.constant([[0, 1], [1, 0], [1, 2]])


def test_by_hand():
    # Row 0: y / |y| = (.6, .8, 0), x = (0, 1, 0): .36 + .04 = .4.
    # Row 1: cos = (1 + 1) / (sqrt 3 sqrt 2) = .816497: 2 - 1.632993 = .367007.
    np.testing.assert_allclose(NormalisedSquared()(LOGITS, TARGET), (0.4 + 0.367007) / 2, rtol=1e-5)


def test_unseen_candidates_do_not_count():
    # Row 0 as above; row 1 without candidate 1 is (1, 0, 1), level with its targets.
    loss = NormalisedSquared()(LOGITS, TARGET, tf.constant([True, False, True]))
    # Row 0 loses its only hit: cos = 0.
    np.testing.assert_allclose(loss, (2.0 + 0.0) / 2, atol=1e-6)


def test_weights():
    loss = NormalisedSquared()(LOGITS, TARGET, weight=tf.constant([2.0, 0.0]))
    np.testing.assert_allclose(loss, 2 * 0.4 / 2, rtol=1e-5)


@given(st.floats(0.01, 100))
def test_a_factor_on_the_scores_changes_nothing(factor):
    loss = NormalisedSquared()
    np.testing.assert_allclose(
        loss(factor * LOGITS, TARGET).numpy(), loss(LOGITS, TARGET).numpy(), rtol=1e-4
    )


def test_is_the_squared_distance():
    logits = np.random.default_rng(0).normal(size=(1, 5))
    x = np.array([1, 0, 1, 1, 0]) / 3**0.5
    expected = np.square(logits[0] / np.linalg.norm(logits) - x).sum()
    target = tf.constant([[0, 0], [0, 2], [0, 3]])
    assert NormalisedSquared()(tf.constant(logits), target).numpy() == pytest.approx(expected)


def test_scores_of_zero_have_a_finite_gradient():
    logits = tf.Variable(tf.zeros([2, 3]))
    with tf.GradientTape() as tape:
        loss = NormalisedSquared()(logits, TARGET)
    assert loss.numpy() == 2.0
    # At targets -2 / (.01 sqrt(count)), halved by the mean over the two rows.
    gradient = tape.gradient(loss, logits).numpy()
    assert np.isfinite(gradient).all()
    counts = np.bincount(TARGET.numpy()[:, 0])
    for row, column in TARGET.numpy():
        assert gradient[row, column] == pytest.approx(-100 / counts[row] ** 0.5, rel=1e-5)
