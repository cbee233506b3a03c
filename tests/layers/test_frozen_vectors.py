import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.layers import FrozenVectors, frozen_vectors

VALUES = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def test_rows_are_projected_and_missing_ones_are_zero():
    layer = FrozenVectors(3, 2, dim=2)
    layer.assign(VALUES, [True, True, False])
    layer.kernel.assign([[1.0, 0.0], [1.0, 1.0]])
    vectors, mask = layer(tf.constant([[1, -1], [2, 0]]))
    # [3, 4] W = [3 + 4, 4] and [1, 2] W = [1 + 2, 2].
    expected = [[[7.0, 4.0], [0.0, 0.0]], [[0.0, 0.0], [3.0, 2.0]]]
    np.testing.assert_allclose(vectors, expected)
    assert mask.numpy().tolist() == [[True, False], [False, True]]


def test_int8_by_hand():
    layer = FrozenVectors(3, 2, storage="int8")
    layer.assign([[127.0, -63.5], [0.0, 0.0], [1.0, 2.0]], [True] * 3)
    # Row 0: scale 1, -63.5 rounds to the even -64. Row 2: scale 2/127, 1 is 63.5 of it, so 64.
    vectors, mask = layer(tf.range(3))
    np.testing.assert_allclose(vectors, [[127, -64], [0, 0], [128 / 127, 2]], rtol=1e-6)
    assert mask.numpy().all()
    assert (layer.matrix.dtype, layer.row_scale.shape) == (tf.int8, (3,))


@given(st.integers(1, 30), st.integers(1, 9), st.floats(1e-6, 1e6), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_int8_is_off_by_half_a_step_at_most(rows, columns, size, seed):
    values = np.random.default_rng(seed).normal(scale=size, size=(rows, columns))
    layer = FrozenVectors(rows, columns, storage="int8")
    layer.assign(values, np.ones(rows, bool))
    step = np.abs(values).max(1, keepdims=True) / 127
    assert (np.abs(layer(tf.range(rows))[0] - values) <= step * 0.501).all()


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_chunks_change_nothing(storage, monkeypatch):
    values = np.random.default_rng(0).normal(size=(11, 3))
    whole, pieces = (FrozenVectors(11, 3, storage=storage) for _ in range(2))
    whole.assign(values, [True] * 11)
    monkeypatch.setattr(frozen_vectors, "_CHUNK_NUMBERS", 12)  # four rows at a time
    pieces.assign(values, [True] * 11)
    for one, other in zip(whole.get_weights(), pieces.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_memory_map_is_read_as_it_is(tmp_path):
    np.save(tmp_path / "values.npy", VALUES.astype(np.float16))
    layer = FrozenVectors(3, 2, storage="float16")
    layer.assign(np.load(tmp_path / "values.npy", mmap_mode="r"), [True] * 3)
    np.testing.assert_array_equal(layer.matrix, VALUES)


def test_bad_values_leave_the_layer_as_it_was(monkeypatch):
    monkeypatch.setattr(frozen_vectors, "_CHUNK_NUMBERS", 2)
    layer = FrozenVectors(3, 2)
    with pytest.raises(ValueError, match="in rows 2 to 2"):
        layer.assign([[1, 1], [1, 1], [1, np.nan]], [True] * 3)
    assert not layer.matrix.numpy().any()


def test_the_matrix_is_a_variable_that_is_not_trained():
    layer = FrozenVectors(3, 2, dim=2)
    assert [v.name for v in layer.trainable_weights] == ["kernel:0"]
    function = tf.function(lambda rows: layer(rows)[0]).get_concrete_function(tf.range(2))
    constants = [op for op in function.graph.get_operations() if op.type == "Const"]
    assert all(np.size(tf.make_ndarray(op.get_attr("value"))) <= 4 for op in constants)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (VALUES[:2], "shape"),
        (np.full((3, 2), np.nan), "finite"),
        (np.full((3, 2), np.inf), "finite"),
    ],
)
def test_bad_values(values, message):
    with pytest.raises(ValueError, match=message):
        FrozenVectors(3, 2).assign(values, [True] * 3)


def test_numbers_beyond_float16():
    FrozenVectors(1, 1).assign([[1e5]], [True])
    with pytest.raises(ValueError, match=r"float16.*beyond 65504"):
        FrozenVectors(1, 1, storage="float16").assign([[1e5]], [True])


def test_bad_storage():
    with pytest.raises(ValueError, match="'float64'"):
        FrozenVectors(3, 2, storage="float64")
