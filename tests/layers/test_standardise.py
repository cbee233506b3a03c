import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import Standardise


def test_by_hand():
    layer = Standardise(2)
    # Means 2 and 10; deviations 1, and infinity where all numbers are equal.
    layer.fit(np.array([[1.0, 10.0], [3.0, 10.0], [np.nan, np.inf]]))
    x = tf.constant([[7.0, 1.0, 10.0], [8.0, 4.0, np.nan], [9.0, np.nan, np.inf]])
    np.testing.assert_allclose(layer(x), [[7, -1, 0], [8, 2, 0], [9, 0, 0]])
    np.testing.assert_array_equal(layer.deviation, np.float32([1, np.inf]))


def test_a_column_without_numbers_stays_as_it_is():
    layer = Standardise(1)
    layer.fit(np.array([[np.nan]]))
    np.testing.assert_array_equal(layer(tf.constant([[3.0], [np.nan]])), [[3.0], [0.0]])


def test_without_columns_nothing_changes():
    x = tf.constant([[1.0, np.nan]])
    np.testing.assert_array_equal(Standardise(0)(x), x)


def test_what_is_fitted_is_saved_and_never_trained(tmp_path):
    inputs = keras.Input((1,))
    model = keras.Model(inputs, Standardise(1, name="numbers")(inputs))
    model.get_layer("numbers").fit(np.array([[4.0], [8.0]]))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(tf.constant([[10.0]])), [[2.0]])
    assert loaded.trainable_variables == []


def test_negative_columns_are_refused():
    with pytest.raises(ValueError, match="columns"):
        Standardise(-1)


def test_a_constant_column_stays_0_for_other_numbers():
    layer = Standardise(2)
    layer.fit(np.array([[5.0, 0.0], [5.0, 2.0], [np.nan, 4.0]]))
    # The second has the mean 2 and the deviation sqrt(8 / 3).
    found = layer(tf.constant([[5.0, 2.0], [1e6, 2.0], [np.nan, 2 + (8 / 3) ** 0.5]])).numpy()
    np.testing.assert_allclose(found, [[0, 0], [0, 0], [0, 1]], atol=1e-6)


def test_a_limit_clips():
    layer = Standardise(1, limit=1.5)
    layer.fit(np.array([[-1.0], [1.0]]))
    found = layer(tf.constant([[9.0, 1.0], [9.0, 7.0], [9.0, -7.0]])).numpy()
    assert found.tolist() == [[9.0, 1.0], [9.0, 1.5], [9.0, -1.5]]
    assert Standardise.from_config(layer.get_config()).limit == 1.5
    with pytest.raises(ValueError, match=r"limit must be above 0.* Received: 0"):
        Standardise(1, limit=0)
