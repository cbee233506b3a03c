import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models import BCE, GBCE, Targets

# Logits whose sigmoids are 1/4, 1/2 and 3/4; row 0 takes the first, row 1 the other two.
SCORES = tf.math.log([[1 / 3, 1.0, 3.0], [1 / 3, 1.0, 3.0]])
TARGETS = Targets(
    tf.constant([[0, 0], [1, 1], [1, 2]]), tf.constant([[0, 1]]), None, tf.constant([1.0, 2, 3]), 9
)
NOTHING = tf.zeros([0, 2], tf.int32)


def test_by_hand():
    # Row 0: 1/4 is taken and 3/4 not, the second is masked. Row 1: 1/2 and 3/4 are taken, 1/4 not.
    rows = np.log(4) + np.log(4), (np.log(2) + np.log(4 / 3)) / 2 + np.log(4 / 3)
    np.testing.assert_allclose(BCE()(TARGETS, SCORES), np.mean(rows) / 2, rtol=1e-6)


def test_a_row_without_targets_still_has_negatives():
    # Three terms and the place of the missing target.
    expected = (np.log(4 / 3) + np.log(2) + np.log(4)) / 4
    np.testing.assert_allclose(BCE()(Targets(NOTHING, NOTHING), SCORES), expected, rtol=1e-6)


def test_the_generalised_one_by_hand():
    # 1 of the 8 other items is a negative: beta = 1 - .75 (1 - 1/8) = .34375 in both rows.
    rows = (
        0.34375 * np.log(4) + np.log(4),
        0.34375 * (np.log(2) + np.log(4 / 3)) / 2 + np.log(4 / 3),
    )
    np.testing.assert_allclose(GBCE()(TARGETS, SCORES), np.mean(rows) / 2, rtol=1e-6)
    np.testing.assert_allclose(GBCE(t=0)(TARGETS, SCORES), BCE()(TARGETS, SCORES))


def test_nothing_is_to_calibrate_without_sampling():
    for n_items in (None, 2):
        targets = TARGETS._replace(n_items=n_items)
        np.testing.assert_allclose(GBCE(1.0)(targets, SCORES), BCE()(TARGETS, SCORES))


def test_full_calibration_finds_the_probabilities_of_all_negatives():
    """With 1 of 8 negatives sampled and t = 1, the best score of an item that is taken with
    probability p is its log odds, as with all negatives; plain BCE finds 8 times the odds."""
    p, alpha = 0.1, 1 / 8
    for loss, times in ((GBCE(1.0), 1.0), (BCE(), 1 / alpha)):
        score = tf.Variable(np.log(times * p / (1 - p)), dtype=tf.float32)
        with tf.GradientTape() as tape:
            both = tf.stack([score, -30.0])[None]
            taken = loss(TARGETS._replace(target=tf.constant([[0, 0]]), masked=NOTHING), both)
            missed = loss(TARGETS._replace(target=tf.constant([[0, 1]]), masked=NOTHING), both)
            expected = p * taken + (1 - p) * alpha * missed
        assert abs(tape.gradient(expected, score)) < 1e-6


@pytest.mark.parametrize("t", [-0.1, 1.1])
def test_a_calibration_out_of_range(t):
    with pytest.raises(InputError, match=r"t must be between 0 and 1. Received:"):
        GBCE(t)
