"""How many steps are run at once."""

from __future__ import annotations

import time

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError

_SETTLED = 2  # steps until tracing is over and buffers are warm
_MEASURED = 8


class StepsPerExecution(keras.callbacks.Callback):
    """Runs so many training steps in one call of the graph that a call takes about `seconds`.

    Between calls Keras is in Python, which costs a tiny step as much as it takes itself. The first
    ten steps are run one by one and timed, input included, and `model.steps_per_execution` is set
    from their median: slow steps stay alone, so that progress is seen. Keras's own "auto" takes a
    minute for each change. The weights that come out are the same; callbacks see
    a batch's end after each call.

    Between epochs the number is 1, so that callbacks can evaluate and predict on any data.
    A model compiled with `steps_per_execution` above 1, a data set of unknown length, and a
    parameter server strategy, which hands out single steps, are left as they are.

    Args:
      seconds: that a call may take.
      largest: number of steps in a call.

    Raises:
      InputError: an argument is not positive.

    Example:
      >>> history = model.fit(batches, callbacks=[StepsPerExecution()], verbose=0)
    """

    def __init__(self, seconds: float = 0.1, largest: int = 256):
        super().__init__()
        for name, value in (("seconds", seconds), ("largest", largest)):
            if not value > 0:
                raise InputError(f"StepsPerExecution: {name} must be positive. Received: {value}")
        self.seconds, self.largest = seconds, largest
        self._measuring, self._together = False, 1
        self._loop = None

    def on_train_begin(self, logs=None):
        servers = tf.distribute.experimental.ParameterServerStrategy
        chosen = int(self.model.steps_per_execution.numpy()) > 1
        known = self.params.get("steps") is not None
        strategy = self.model.distribute_strategy
        self._measuring = known and not chosen and not isinstance(strategy, servers)
        if not self._measuring:
            return
        if self.model.train_function is not self._loop:
            # Keras has made one for single steps, without a loop.
            self.model.steps_per_execution = 2
            self._loop = self.model.make_train_function(force=True)
            self.model.steps_per_execution = 1
        self._skip, self._times, self._together = _SETTLED, [], 1

    def on_epoch_begin(self, epoch, logs=None):
        self._last = None  # what lies between epochs is no step
        if self._together > 1:
            self.model.steps_per_execution = self._together

    def on_train_batch_end(self, batch, logs=None):
        if not self._measuring:
            return
        now = time.perf_counter()
        if self._skip:
            self._skip -= 1
        elif self._last is not None:
            self._times.append(now - self._last)
        self._last = now
        if len(self._times) == _MEASURED:
            self._measuring = False
            together = int(self.seconds / max(np.median(self._times), 1e-9))
            self._together = max(min(together, self.largest, self.params["steps"]), 1)
            self.model.steps_per_execution = self._together

    def on_epoch_end(self, epoch, logs=None):
        if self._together > 1:
            self.model.steps_per_execution = 1

    def on_train_end(self, logs=None):
        if self._together > 1:
            self.model.steps_per_execution = self._together = 1
