import numpy as np
import pytest

from tfrec_fusion._compat import keras
from tfrec_fusion.training import Checkpoints


def _model(seed):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    return model


@pytest.fixture
def data():
    return np.eye(3, dtype="float32"), np.ones((3, 2), "float32")


def test_weights_and_optimizer_come_back(tmp_path, data):
    checkpoints = Checkpoints(tmp_path / "state")
    assert checkpoints.restore(_model(0)) is None
    model = _model(0)
    model.fit(*data, verbose=0)
    checkpoints.save(model, 1, {"loss": [2.0]})
    other = _model(1)
    assert checkpoints.restore(other)["history"] == {"loss": [2.0]}
    for fitted in (model, other):
        fitted.fit(*data, verbose=0)
    # Adam's moments count from the second step on.
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-7)


def test_a_model_that_is_not_compiled_gets_the_weights(tmp_path, data):
    model = _model(0)
    model.fit(*data, verbose=0)
    Checkpoints(tmp_path).save(model, 3, {})
    bare = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    assert Checkpoints(tmp_path).restore(bare)["epoch"] == 3
    np.testing.assert_array_equal(bare.get_weights()[0], model.get_weights()[0])


def test_the_last_two_are_kept_and_a_half_one_is_none(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for epoch in (1, 2, 3):
        checkpoints.save(_model(0), epoch, {})
    assert checkpoints.epochs() == [2, 3]
    half = tmp_path / ".epoch-0004.tmp-abc"
    half.mkdir()
    (half / "weights.index").touch()
    assert checkpoints.epochs() == [2, 3]
    checkpoints.clean()
    assert not half.exists()
    assert checkpoints.epochs() == [2, 3]
