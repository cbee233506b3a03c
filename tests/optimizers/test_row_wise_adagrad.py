import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.optimizers import RowWiseAdagrad


def _slices(values, rows, shape):
    return tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant(shape))


def test_one_step_by_hand():
    table = tf.Variable([[1.0, 1.0], [2.0, 2.0], [5.0, 5.0]])
    optimizer = RowWiseAdagrad(0.5, epsilon=1e-8)
    # Row 1 comes twice: (1, 3) + (2, 1) = (3, 4), whose mean square is (9 + 16) / 2 = 12.5.
    # Row 0: (-2, 0), mean square 2.
    gradient = _slices([[1.0, 3.0], [-2.0, 0.0], [2.0, 1.0]], [1, 0, 1], [3, 2])
    optimizer.apply_gradients([(gradient, table)])
    expected = [
        [1 + 0.5 * 2 / 2**0.5, 1.0],
        [2 - 0.5 * 3 / 12.5**0.5, 2 - 0.5 * 4 / 12.5**0.5],
        [5.0, 5.0],
    ]
    np.testing.assert_allclose(table.numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(optimizer.variables[1].numpy(), [2.0, 12.5, 0.0])


def test_the_first_step_has_the_size_of_the_learning_rate_at_any_scale_of_the_loss():
    for scale in (1e-4, 1.0, 1e4):
        table = tf.Variable(tf.zeros([2, 4]))
        gradient = _slices([[scale, -scale, scale, scale]], [1], [2, 4])
        RowWiseAdagrad(0.05).apply_gradients([(gradient, table)])
        np.testing.assert_allclose(table.numpy()[1], [-0.05, 0.05, -0.05, -0.05], rtol=1e-3)


def test_the_state_is_one_number_a_row():
    optimizer = RowWiseAdagrad(initial_accumulator_value=0.25)
    optimizer.build([tf.Variable(tf.zeros([7, 3])), tf.Variable(tf.zeros([5])), tf.Variable(1.0)])
    assert [tuple(v.shape) for v in optimizer.variables[1:]] == [(7,), (5,), ()]
    assert all((v.numpy() == 0.25).all() for v in optimizer.variables[1:])


@pytest.mark.parametrize("shape", [(6, 4), (6,), (6, 2, 3)])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("decay", [None, 0.1])
def test_steps_equal_the_float64_reference(shape, dense, decay, reference):
    rng = np.random.default_rng(0)
    start = rng.normal(size=shape).astype(np.float32)
    table = tf.Variable(start)
    optimizer = RowWiseAdagrad(0.3, initial_accumulator_value=0.1, weight_decay=decay)
    exact = reference.Adagrad(start, 0.3, start=0.1, decay=decay or 0.0)
    apply = tf.function(optimizer.apply_gradients)
    for _ in range(6):
        rows = rng.integers(0, 5, 9)
        values = rng.normal(size=(9, *shape[1:])).astype(np.float32)
        gradient, touched = reference.summed(shape, rows, values)
        if dense:
            apply([(tf.constant(gradient, tf.float32), table)])
            exact.step(gradient, range(shape[0]))
        else:
            apply([(_slices(values, rows, shape), table)])
            exact.step(gradient, touched)
    np.testing.assert_allclose(table.numpy(), exact.w, rtol=2e-5, atol=2e-6)
    if not dense:
        # Row 5 never occurs.
        assert (table.numpy()[5] == start[5]).all()


def test_a_scalar_is_plain_adagrad():
    scale = tf.Variable(1.0)
    optimizer = RowWiseAdagrad(0.5)
    # a = 9: 1 - .5 * 3 / 3; then a = 25: .5 - .5 * 4 / 5.
    for gradient in (3.0, 4.0):
        optimizer.apply_gradients([(tf.constant(gradient), scale)])
    assert scale.numpy() == pytest.approx(0.1)
