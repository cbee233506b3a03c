import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.optimizers import LazyAdam


def _slices(values, rows, shape):
    return tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant(shape))


def test_one_step_by_hand():
    table = tf.Variable([[1.0], [2.0], [5.0]])
    # In the first step c = sqrt(.001) / .1, m = .1 g, v = .001 g^2: c m / sqrt(v) = sign(g).
    gradient = _slices([[1.0], [-2.0], [2.0]], [1, 0, 1], [3, 1])
    LazyAdam(0.5).apply_gradients([(gradient, table)])
    np.testing.assert_allclose(table.numpy(), [[1.5], [1.5], [5.0]], rtol=1e-5)


def test_a_row_that_comes_late_takes_the_step_that_the_docs_promise():
    table = tf.Variable(tf.zeros([2, 1]))
    optimizer = LazyAdam(1.0)
    optimizer.build([table])
    optimizer.iterations.assign(100_000)
    optimizer.apply_gradients([(_slices([[7.0]], [1], [2, 1]), table)])
    # c = 1: .1 g / sqrt(.001 g^2) = .1 / sqrt(.001).
    assert table.numpy()[1, 0] == pytest.approx(-0.1 / 0.001**0.5, rel=1e-4)


@pytest.mark.parametrize("shape", [(6, 4), (6,)])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("decay", [None, 0.1])
def test_steps_equal_the_float64_reference(shape, dense, decay, reference):
    rng = np.random.default_rng(0)
    start = rng.normal(size=shape).astype(np.float32)
    table = tf.Variable(start)
    optimizer = LazyAdam(0.1, weight_decay=decay)
    exact = reference.Adam(start, 0.1, decay=decay or 0.0)
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
    np.testing.assert_allclose(table.numpy(), exact.w, rtol=1e-4, atol=1e-5)
    if not dense:
        assert (table.numpy()[5] == start[5]).all()


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_on_dense_gradients_it_is_keras_adamw(decay):
    rng = np.random.default_rng(1)
    ours, theirs = (tf.Variable(np.linspace(-1, 1, 12, dtype=np.float32)) for _ in range(2))
    lazy = LazyAdam(0.01, weight_decay=decay)
    adamw = keras.optimizers.AdamW(0.01, weight_decay=decay)
    for _ in range(20):
        gradient = tf.constant(rng.normal(size=12), tf.float32)
        lazy.apply_gradients([(gradient, ours)])
        adamw.apply_gradients([(gradient, theirs)])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_it_is_not_adam_on_rows_that_are_away():
    ours, theirs = (tf.Variable(tf.zeros([2, 1])) for _ in range(2))
    lazy, adam = LazyAdam(0.1), keras.optimizers.Adam(0.1)
    for row in (0, 1):
        for optimizer, table in ((lazy, ours), (adam, theirs)):
            optimizer.apply_gradients([(_slices([[1.0]], [row], [2, 1]), table)])
    # Both take the first step alike; then only Adam moves row 0 on by its momentum.
    assert ours.numpy()[0, 0] == pytest.approx(-0.1, rel=1e-4)
    assert theirs.numpy()[0, 0] < -0.15
