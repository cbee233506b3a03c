"""What all table optimizers share: sums of duplicates, clipping, decay, schedules, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.optimizers import LazyAdam, RowWiseAdagrad, TableOptimizer, for_tables

OPTIMIZERS = [RowWiseAdagrad, LazyAdam, TableOptimizer]


def _slices(values, rows, shape):
    return tf.IndexedSlices(
        tf.constant(values, tf.float32), tf.constant(rows, tf.int32), tf.constant(shape)
    )


@pytest.fixture(scope="module", params=OPTIMIZERS, ids=lambda o: o.__name__)
def harness(request):
    """A table of 12 x 3 with a traced step, whose state the caller resets."""
    table = tf.Variable(tf.zeros([12, 3]), name="table")
    optimizer = request.param()
    optimizer.build([table])

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 3], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ]
    )
    def apply(values, rows):
        gradient = tf.IndexedSlices(values, rows, tf.constant([12, 3]))
        optimizer.apply_gradients([(gradient, table)])

    return request.param, optimizer, table, apply


_BATCHES = st.lists(
    st.lists(
        st.tuples(st.integers(0, 11), st.lists(st.floats(-4, 4, width=16), min_size=3, max_size=3)),
        max_size=20,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(batches=_BATCHES)
def test_any_batches_equal_the_float64_reference_and_leave_other_rows(harness, batches):
    kind, optimizer, table, apply = harness
    start = np.linspace(-1, 1, 36, dtype=np.float32).reshape(12, 3)
    table.assign(start)
    for variable in optimizer.variables:
        variable.assign(tf.zeros_like(variable))
    w, a = start.astype(np.float64), np.zeros(12)
    m, v = np.zeros((12, 3)), np.zeros((12, 3))
    seen = set()
    for t, batch in enumerate(batches, 1):
        rows = np.array([row for row, _ in batch], np.int32)
        values = np.array([value for _, value in batch], np.float32).reshape(-1, 3)
        apply(values, rows)
        gradient = np.zeros((12, 3))
        np.add.at(gradient, rows, values)
        touched = np.unique(rows)
        seen |= set(touched.tolist())
        g = gradient[touched]
        if kind is LazyAdam:
            m[touched] = 0.9 * m[touched] + 0.1 * g
            v[touched] = 0.999 * v[touched] + 0.001 * g**2
            c = np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            w[touched] -= 1e-3 * c * m[touched] / (np.sqrt(v[touched]) + 1e-7)
        else:
            a[touched] += np.mean(g**2, 1)
            w[touched] -= 0.05 * g / (np.sqrt(a[touched]) + 1e-8)[:, None]
    np.testing.assert_allclose(table.numpy(), w, rtol=1e-4, atol=1e-5)
    untouched = sorted(set(range(12)) - seen)
    assert (table.numpy()[untouched] == start[untouched]).all()
    for state in optimizer.variables[1:]:
        assert (state.numpy()[untouched] == 0).all()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_duplicates_step_exactly_as_their_sum(kind):
    # Halves and quarters: every order of summation is exact.
    values = [[0.5, 1.0], [0.25, -2.0], [1.5, 4.0], [-0.75, 0.5]]
    tables = []
    for gradient in (
        _slices(values, [2, 0, 2, 2], [4, 2]),
        _slices([[0.25, -2.0], [1.25, 5.5]], [0, 2], [4, 2]),
    ):
        tables.append(tf.Variable(tf.ones([4, 2]), name="table"))
        kind().apply_gradients([(gradient, tables[-1])])
    assert (tables[0].numpy() == tables[1].numpy()).all()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_sparse_equals_dense_where_every_row_occurs(kind):
    rng = np.random.default_rng(0)
    sparse, dense = (tf.Variable(tf.ones([4, 2]), name="table") for _ in range(2))
    first, second = kind(), kind()
    for _ in range(3):
        rows = np.r_[rng.permutation(4), rng.integers(0, 4, 3)]
        values = rng.normal(size=(7, 2)).astype(np.float32)
        gradient = np.zeros((4, 2), np.float32)
        np.add.at(gradient, rows, values)
        first.apply_gradients([(_slices(values, rows, [4, 2]), sparse)])
        second.apply_gradients([(tf.constant(gradient), dense)])
    np.testing.assert_allclose(sparse.numpy(), dense.numpy(), rtol=1e-5)


def _moments(optimizer, gradients):
    """What the optimizer saw of the gradients: LazyAdam's first `m` is a tenth of them."""
    tables = [tf.Variable(tf.zeros([3, 2])) for _ in gradients]
    optimizer.apply_gradients(list(zip(gradients, tables, strict=True)))
    return [10 * v.numpy() for v in optimizer.variables[1 : 1 + len(tables)]]


def test_clipnorm_takes_the_norm_of_the_summed_gradient():
    # Row 1 gets (1, 2) + (2, 2) = (3, 4), norm 5: to 1 by a fifth. The norm of the four numbers as
    # they come would be sqrt(13), and to 1 would give (3, 4) / sqrt(13).
    (seen,) = _moments(LazyAdam(clipnorm=1.0), [_slices([[1, 2], [2, 2]], [1, 1], [3, 2])])
    np.testing.assert_allclose(seen, [[0, 0], [0.6, 0.8], [0, 0]], rtol=1e-5)


def test_clipvalue_clips_the_summed_gradient():
    (seen,) = _moments(LazyAdam(clipvalue=3.5), [_slices([[1, 2], [2, 2]], [1, 1], [3, 2])])
    np.testing.assert_allclose(seen, [[0, 0], [3, 3.5], [0, 0]], rtol=1e-5)


def test_global_clipnorm_goes_over_all_weights():
    sparse = _slices([[1, 2], [2, 2]], [1, 1], [3, 2])
    # 3^2 + 4^2 + 12^2 = 13^2.
    dense = tf.constant([[12.0, 0], [0, 0], [0, 0]])
    seen = _moments(LazyAdam(global_clipnorm=1.0), [sparse, dense])
    np.testing.assert_allclose(seen[0], [[0, 0], [3 / 13, 4 / 13], [0, 0]], rtol=1e-5)
    np.testing.assert_allclose(seen[1], [[12 / 13, 0], [0, 0], [0, 0]], rtol=1e-5)


@pytest.mark.parametrize("kind", [RowWiseAdagrad, LazyAdam])
def test_weight_decay_falls_on_touched_rows_alone(kind):
    table = tf.Variable(tf.ones([3, 2]))
    optimizer = kind(0.5, weight_decay=0.1)
    optimizer.apply_gradients([(_slices([[0, 0], [0, 0]], [1, 1], [3, 2]), table)])
    # A zero gradient moves nothing, so what remains is 1 - .5 * .1, once for both occurrences.
    np.testing.assert_allclose(table.numpy(), [[1, 1], [0.95, 0.95], [1, 1]], rtol=1e-6)


def test_weights_can_be_excluded_from_decay():
    first, second = tf.Variable(tf.ones([2, 1]), name="a"), tf.Variable(tf.ones([2, 1]), name="b")
    optimizer = RowWiseAdagrad(0.5, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["b"])
    zero = tf.zeros([2, 1])
    optimizer.apply_gradients([(zero, first), (zero, second)])
    np.testing.assert_allclose(first.numpy(), [[0.95], [0.95]])
    assert (second.numpy() == 1).all()


@pytest.mark.parametrize("kind", [RowWiseAdagrad, LazyAdam])
def test_a_schedule_is_followed(kind):
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.25])
    table = tf.Variable(tf.zeros([2, 1]))
    optimizer = kind(schedule)
    moves = []
    for row in (0, 1):
        before = table.numpy()
        optimizer.apply_gradients([(_slices([[2.0]], [row], [2, 1]), table)])
        moves.append(abs(table.numpy() - before).max())
    # Step 0 has the rate 1 and both optimizers take a first step of the rate.
    assert moves[0] == pytest.approx(1.0, rel=1e-4)
    assert float(optimizer.learning_rate) == 0.25
    if kind is RowWiseAdagrad:
        assert moves[1] == pytest.approx(0.25, rel=1e-4)


def _whole_tables(optimizer, n_rows=1000):
    """Operations of a traced step that give or read a dense tensor of the table's size."""
    table = tf.Variable(tf.zeros([n_rows, 3]), name="table")
    optimizer.build([table])

    @tf.function(
        input_signature=[tf.TensorSpec([None, 3], tf.float32), tf.TensorSpec([None], tf.int32)]
    )
    def apply(values, rows):
        gradient = tf.IndexedSlices(values, rows, tf.constant([n_rows, 3]))
        optimizer.apply_gradients([(gradient, table)])

    operations = apply.get_concrete_function().graph.get_operations()
    return [
        op.type
        for op in operations
        if any(output.shape.rank and output.shape[0] == n_rows for output in op.outputs)
    ]


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("clip", [{}, {"clipnorm": 1.0}, {"global_clipnorm": 1.0}])
def test_a_step_touches_no_whole_table(kind, clip):
    assert _whole_tables(kind(**clip)) == []
    assert _whole_tables(RowWiseAdagrad(weight_decay=0.1)) == []
    # The measure sees what it is for.
    assert "ReadVariableOp" in _whole_tables(keras.optimizers.Adam())


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_empty_batch_changes_nothing(kind):
    table = tf.Variable(tf.ones([3, 2]), name="table")
    kind().apply_gradients([(_slices(np.zeros((0, 2)), np.zeros(0), [3, 2]), table)])
    assert (table.numpy() == 1).all()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_ema_is_refused_in_one_line(kind):
    with pytest.raises(InputError, match=r"use_ema .* Received: use_ema=True") as error:
        kind(use_ema=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RowWiseAdagrad(-1.0), "learning_rate must be at least 0 .* Received: -1.0"),
        (lambda: RowWiseAdagrad(float("nan")), "learning_rate .* Received: nan"),
        (lambda: RowWiseAdagrad(initial_accumulator_value=-0.1), "initial_accumulator_value"),
        (lambda: RowWiseAdagrad(epsilon=0.0), "epsilon .* Received: 0.0"),
        (lambda: LazyAdam(weight_decay=-1), "weight_decay must be at least 0"),
        (lambda: LazyAdam(beta_1=1.0), "beta_1 must be at least 0 and below 1. Received: 1.0"),
        (lambda: for_tables(dense_weight_decay=-1), "weight_decay"),
    ],
)
def test_bad_arguments_get_one_line(make, says):
    with pytest.raises(InputError, match=says) as error:
        make()
    assert "\n" not in str(error.value)
