"""Cross entropy against the probabilities of a teacher, by hand."""

import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.losses import LogitDistillation

TEACHER = tf.constant([[np.log(3.0)], [0.0]], tf.float32)
STUDENT = tf.constant([[0.0], [np.log(3.0)]], tf.float32)


def test_by_hand():
    # p = 3/4 against 1/2 costs log 2; p = 1/2 against 3/4 costs -(log 3/4 + log 1/4) / 2.
    wanted = [np.log(2), -(np.log(0.75) + np.log(0.25)) / 2]
    loss = LogitDistillation()
    np.testing.assert_allclose(loss.call(TEACHER, STUDENT)[:, 0], wanted, rtol=1e-5)
    np.testing.assert_allclose(loss(TEACHER, STUDENT), np.mean(wanted), rtol=1e-5)
    np.testing.assert_allclose(
        loss(TEACHER, STUDENT, tf.constant([[1.0], [3.0]])),
        (wanted[0] + 3 * wanted[1]) / 2,
        rtol=1e-5,
    )
    # At the teacher's own logits it is the entropy of 3/4 and of 1/2.
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), np.log(2)
    np.testing.assert_allclose(loss.call(TEACHER, TEACHER)[:, 0], entropy, rtol=1e-5)


def test_temperature():
    # T = 2: p = sqrt 3 / (1 + sqrt 3) = .633975 against 1/2 costs log 2, times 4.
    found = LogitDistillation(2.0).call(TEACHER, STUDENT)[:, 0]
    np.testing.assert_allclose(found[0], 4 * np.log(2), rtol=1e-5)
    # p = 1/2 against .633975: -(log .633975 + log .366025) / 2 = .730400, times 4.
    np.testing.assert_allclose(found[1], 4 * 0.7304, rtol=1e-5)
    with pytest.raises(ValueError, match=r"temperature.*Received: 0"):
        LogitDistillation(0)


def test_only_the_student_learns_and_a_config_rebuilds_it():
    with tf.GradientTape() as tape:
        tape.watch([STUDENT, TEACHER])
        loss = LogitDistillation(2.0)(TEACHER, STUDENT)
    teacher, student = tape.gradient(loss, [TEACHER, STUDENT])
    assert teacher is None
    # The slope of a row is T (sigmoid(s / T) - p), by 2 rows: 2 (1/2 - .633975) / 2.
    np.testing.assert_allclose(student[:, 0], [-0.133975, 0.133975], rtol=1e-4)
    twin = keras.losses.deserialize(keras.losses.serialize(LogitDistillation(2.0)))
    assert twin.temperature == 2
