import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.layers import FrozenVectors

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


def test_bad_storage():
    with pytest.raises(ValueError, match="'float64'"):
        FrozenVectors(3, 2, storage="float64")
