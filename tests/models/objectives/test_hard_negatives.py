import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models import BPR, OBJECTIVES, CatalogueSoftmax, HardNegatives, Targets

# Row 0: target 2, negatives 5, 1 and 0; 9 is masked. Row 1: targets 1 and 3, negatives 4, 2 and 0.
TARGETS = Targets(tf.constant([[0, 0], [1, 0], [1, 1]]), tf.constant([[0, 4]]))
SCORES = tf.constant([[2.0, 1.0, 0.0, 5.0, 9.0], [1.0, 3.0, 0.0, 2.0, 4.0]])


def test_by_hand():
    # After the first, row 0 has 1 and row 1 has 2: the hinges are 0, 2 and 0.
    loss = HardNegatives("hinge", k=1, skip=1)
    assert loss(TARGETS, SCORES).numpy() == (0 + (2 + 0) / 2) / 2
    # Log q puts 1 - (-3) = 4 behind 5, and 2 - (-3) = 5 before 4.
    log_q = tf.constant([0.0, 0, 0, 0, 0])
    log_q = tf.tensor_scatter_nd_update(log_q, [[3]], [-3.0])
    moved = loss(TARGETS._replace(log_q=log_q), SCORES, tf.constant([0.0, 2.0]))
    # Row 1 now skips 2 + 3 and keeps 4: its targets 1 and 3 are 3 and 1 behind.
    assert moved.numpy() == (4 + 2) / 2


@pytest.mark.parametrize("name", ["bpr", "bce", "ccl", "hinge"])
def test_enough_negatives_are_all_of_them(name):
    """With one target a row."""
    targets = Targets(tf.constant([[0, 0], [1, 1]]), tf.constant([[0, 4], [1, 2]]))
    objective = OBJECTIVES.resolve(name)()
    for k in (3, 5, 100):
        found = HardNegatives(objective, k)(targets, SCORES)
        np.testing.assert_allclose(found, objective(targets, SCORES), rtol=1e-6)


def test_fewer_negatives_than_are_skipped_leave_no_loss():
    found = HardNegatives("bpr", k=2, skip=3)(TARGETS, SCORES)
    assert found.numpy() == 0


def test_other_targets_of_the_row_are_no_negatives():
    # Softmax of one target and two negatives each: row 1 has 1 and 3 against 4 and 2.
    values = np.exp([1.0, 3.0])
    both = np.exp(4) + np.exp(2)
    expected = np.log((values + both) / values).mean()
    found = HardNegatives("softmax", 2)(TARGETS, SCORES, tf.constant([0.0, 2.0]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_it_trains_only_what_is_kept():
    with tf.GradientTape() as tape:
        tape.watch(SCORES)
        loss = HardNegatives(BPR(), k=1, skip=1)(TARGETS, SCORES)
    used = tape.gradient(loss, SCORES).numpy() != 0
    assert used.tolist() == [[True, True, False, False, False], [True, True, False, True, False]]


def test_a_config_rebuilds_it():
    loss = HardNegatives(CatalogueSoftmax("bfloat16"), k=2, skip=1)
    saved = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(saved)
    assert again.objective.matmul_dtype == "bfloat16"
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": 0}, r"k must be at least 1. Received: 0"),
        ({"skip": -1}, r"skip must be at least 0. Received: -1"),
        ({"objective": 3}, r"must be an Objective .* Received: 3"),
    ],
)
def test_options_out_of_range(options, says):
    with pytest.raises(InputError, match=says):
        HardNegatives(**options)
