import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.losses import Distillation

TEACHER = tf.constant([[np.log(3.0), 0.0, 9.0]])
STUDENT = tf.constant([[0.0, 0.0, -9.0]])
LAST = tf.constant([[0, 2]])


def test_by_hand():
    # Without candidate 2: teacher (3/4, 1/4), student (1/2, 1/2).
    # KL = 3/4 log(3/2) + 1/4 log(1/2) = .304099 - .173287 = .130812.
    np.testing.assert_allclose(Distillation()(STUDENT, TEACHER, LAST), 0.130812, rtol=1e-5)


def test_temperature():
    # T = 2: teacher (sqrt 3, 1) / (1 + sqrt 3) = (.633975, .366025).
    # KL = .633975 log(1.26795) + .366025 log(.73205) = .150506 - .114165 = .036341; times 4.
    np.testing.assert_allclose(Distillation(2.0)(STUDENT, TEACHER, LAST), 4 * 0.036341, rtol=1e-4)
    with pytest.raises(ValueError, match=r"temperature.*Received: -1"):
        Distillation(-1)


def test_log_q_is_taken_off_both():
    log_q = tf.math.log([3.0, 1.0, 1.0])
    # Teacher (1, 1) and student (1/3, 1): KL = 1/2 log 2 + 1/2 log(2/3) = .143841.
    np.testing.assert_allclose(Distillation()(STUDENT, TEACHER, LAST, log_q), 0.143841, rtol=1e-5)


def test_only_the_student_learns():
    with tf.GradientTape() as tape:
        tape.watch([STUDENT, TEACHER])
        loss = Distillation()(STUDENT, TEACHER)
    student, teacher = tape.gradient(loss, [STUDENT, TEACHER])
    assert teacher is None
    assert student.numpy().any()
