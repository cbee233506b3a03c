import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.losses import InfoNCE

A = tf.constant([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
B = tf.constant([[1.0, 0.0], [5.0, 0.0], [0.0, 1.0]])


def test_by_hand():
    # Of rows 0 and 1, cosines [[1, 1], [0, 0]] and tau .5: logits [[2, 2], [0, 0]].
    # a -> b: log 2 and log 2. b -> a: log(e^2 + 1) - 2 = .126928, and log(e^2 + 1) - 0 = 2.126928.
    present = tf.constant([True, True, False])
    expected = (2 * np.log(2) + 0.126928 + 2.126928) / 2 / 2
    np.testing.assert_allclose(InfoNCE(0.5)(A, B, present), expected, rtol=1e-5)


def test_both_views_choose_among_the_same_rows():
    present = tf.constant([True, False, True])
    kept = InfoNCE()(A, B, present)
    np.testing.assert_allclose(
        kept, InfoNCE()(tf.gather(A, [0, 2]), tf.gather(B, [0, 2])), rtol=1e-6
    )
    np.testing.assert_allclose(kept, InfoNCE()(B, A, present), rtol=1e-6)


def test_nothing_present_is_no_loss():
    with tf.GradientTape() as tape:
        tape.watch(A)
        loss = InfoNCE()(A, B, tf.zeros([3], tf.bool))
    assert loss == 0
    assert not tape.gradient(loss, A).numpy().any()


def test_temperature_out_of_range():
    with pytest.raises(ValueError, match=r"temperature.*Received: 0"):
        InfoNCE(0)


def test_a_learned_temperature_starts_where_it_is_told_and_is_trained():
    layer = InfoNCE(0.5, learned=True)
    np.testing.assert_allclose(layer(A, B), InfoNCE(0.5)(A, B), rtol=1e-6)
    (log_temperature,) = layer.trainable_weights
    with tf.GradientTape() as tape:
        loss = layer(A, B)
    # The views disagree, so a softer choice is better.
    assert tape.gradient(loss, log_temperature) < 0
    log_temperature.assign(-50.0)
    np.testing.assert_allclose(layer(A, B), InfoNCE(0.01)(A, B), rtol=1e-6)
