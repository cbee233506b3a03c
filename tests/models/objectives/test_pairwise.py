import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models import BPR, PairwiseHinge, PairwiseObjective, Targets

TARGETS = Targets(tf.constant([[0, 0], [1, 0], [1, 1]]), tf.constant([[0, 3]]))
# Row 0: target 2 against 1 and 0; 9 is masked. Row 1: targets 1 and 3 against 0 and 2.
SCORES = tf.constant([[2.0, 1.0, 0.0, 9.0], [1.0, 3.0, 0.0, 2.0]])


def test_bpr_by_hand():
    def loss(*ahead):
        return np.mean([np.log1p(np.exp(-a)) for a in ahead])

    expected = [loss(1, 2), (loss(1, -1) + loss(3, 1)) / 2]
    np.testing.assert_allclose(BPR()(TARGETS, SCORES), np.mean(expected), rtol=1e-6)


def test_hinge_by_hand():
    # Margin 2: row 0 is ahead by 1 and 2: (1 + 0) / 2. Row 1: the first target by 1 and -1:
    # (1 + 3) / 2; the second by 3 and 1: (0 + 1) / 2; their mean is 1.25.
    assert PairwiseHinge(2.0)(TARGETS, SCORES).numpy() == (0.5 + 1.25) / 2


def test_a_row_without_negatives_has_no_loss():
    targets = TARGETS._replace(masked=tf.constant([[0, 1], [0, 2], [0, 3]]))
    only = PairwiseHinge(2.0)(targets, SCORES, tf.constant([2.0, 0.0]))
    assert only.numpy() == 0


def test_a_loss_of_ones_own():
    class Square(PairwiseObjective):
        def pair_loss(self, behind):
            return tf.square(tf.nn.relu(1 + behind))

    # Of row 1 only the first target is less than 1 ahead, by -1 of the last: (0 + 4) / 2, and 0.
    assert Square()(TARGETS, SCORES, tf.constant([0.0, 2.0])).numpy() == (2 + 0) / 2


def test_a_margin_out_of_range():
    with pytest.raises(InputError, match=r"margin must be positive. Received: 0"):
        PairwiseHinge(0)
