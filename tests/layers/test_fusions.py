import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.layers import AdditiveFusion, ConcatFusion, GateFusion, SumFusion

X = {"a": tf.constant([[1.0, 2.0]]), "b": tf.constant([[10.0, 20.0]])}
ONLY_B = {"a": tf.constant([False]), "b": tf.constant([True])}


def test_sum():
    np.testing.assert_allclose(SumFusion(2)(X), [[11.0, 22.0]])
    np.testing.assert_allclose(SumFusion(2)(X, ONLY_B), [[10.0, 20.0]])


def test_sum_needs_inputs_of_its_size():
    with pytest.raises(ValueError, match=r"'a' must have 3 columns\. Received: 2"):
        SumFusion(3)(X)


def test_concat_has_mask_columns():
    layer = ConcatFusion(1)
    layer(X)
    # Columns: a0 a1 mask_a b0 b1 mask_b.
    layer.kernel.assign([[1.0], [1.0], [100.0], [1.0], [1.0], [1000.0]])
    layer.bias.assign([0.5])
    # 1 + 2 + 100 + 10 + 20 + 1000 + .5, and without a 30 + 1000 + .5.
    np.testing.assert_allclose(layer(X), [[1133.5]])
    np.testing.assert_allclose(layer(X, ONLY_B), [[1030.5]])


def test_additive_is_the_activation_of_the_sum():
    layer = AdditiveFusion(1, activation="relu")
    layer(X)
    layer.kernels["a"].assign([[1.0], [0.0]])
    layer.kernels["b"].assign([[0.0], [-0.04]])
    # relu(1 - .8) = .2, and without a relu(-.8) = 0.
    np.testing.assert_allclose(layer(X), [[0.2]], rtol=1e-6)
    np.testing.assert_allclose(layer(X, ONLY_B), [[0.0]])


def test_gate_shares_sum_to_one_over_what_is_present():
    layer = GateFusion(1)
    layer(X)
    layer.kernels["a"].assign([[1.0], [0.0]])
    layer.kernels["b"].assign([[1.0], [0.0]])
    # Gates start at zero: half of each, (1 + 10) / 2. A gate of log 3 on a0 gives a 3/4 of it.
    np.testing.assert_allclose(layer(X), [[5.5]], rtol=1e-6)
    layer.gates["a"].assign([[np.log(3.0)], [0.0], [0.0], [0.0]])
    np.testing.assert_allclose(layer(X), [[0.75 * 1 + 0.25 * 10]], rtol=1e-6)
    np.testing.assert_allclose(layer(X, ONLY_B), [[10.0]], rtol=1e-6)
    nothing = {"a": tf.constant([False]), "b": tf.constant([False])}
    np.testing.assert_allclose(layer(X, nothing), [[0.0]])
