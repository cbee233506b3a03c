"""Steps that are run together are the steps that are run alone."""

import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.training import StepsPerExecution

STEPS = 43  # no multiple of anything that is chosen


class Calls(keras.callbacks.Callback):
    """After which batches Keras was back in Python."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(batch)


def _fitted(callbacks, epochs=1, **compiled):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(STEPS * 4, 3)).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices((x, x.sum(1))).batch(4)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse", **compiled)
    model.fit(data, epochs=epochs, verbose=0, callbacks=callbacks)
    return model


def test_steps_are_put_together_after_ten_and_none_is_lost():
    calls = Calls()
    together = _fitted([StepsPerExecution(seconds=1e9, largest=16), calls])
    # Ten alone; then 16 at once end with steps 25 and 41, and one is left.
    assert calls.ends == [*range(10), 25, 41, 42]
    for a, b in zip(together.get_weights(), _fitted([]).get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert together.steps_per_execution.numpy() == 1


def test_slow_steps_stay_alone():
    calls = Calls()
    _fitted([StepsPerExecution(seconds=1e-9), calls])
    assert calls.ends == [*range(STEPS)]


def test_no_call_is_longer_than_an_epoch():
    calls = Calls()
    _fitted([StepsPerExecution(seconds=1e9, largest=1000), calls], epochs=2)
    assert calls.ends == [*range(10), 42, 42]


def test_callbacks_predict_between_epochs():
    class Predicts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            shapes.append(self.model.predict_on_batch(np.zeros((2, 3), np.float32)).shape)

    shapes = []
    _fitted([StepsPerExecution(seconds=1e9, largest=16), Predicts()], epochs=2)
    assert shapes == [(2, 1), (2, 1)]


def test_a_chosen_number_is_kept():
    calls = Calls()
    model = _fitted([StepsPerExecution(), calls], steps_per_execution=20)
    assert calls.ends == [19, 39, 42]
    assert model.steps_per_execution.numpy() == 20


@pytest.mark.parametrize("options", [{"seconds": 0}, {"largest": 0}])
def test_bad_options(options):
    with pytest.raises(InputError, match=r"must be positive. Received: 0"):
        StepsPerExecution(**options)
