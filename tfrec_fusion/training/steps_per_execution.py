"""A Keras callback that chooses how many steps run per call of the graph."""

from __future__ import annotations

import time

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError

_SETTLED = 2  # steps until tracing is over and buffers are warm
_MEASURED = 8


class StepsPerExecution(keras.callbacks.Callback):
    """Sets `steps_per_execution` so that a call of the training graph takes about `seconds`.

    Between calls Keras runs Python code, which takes as long as a tiny step itself. The callback
    runs the first ten steps one by one, times the last eight, input included, and sets
    `model.steps_per_execution` from their median; slow steps still run one by one, so that progress
    stays visible. (Keras's own "auto" takes a minute for each change.) The resulting weights are
    the same; `on_train_batch_end` runs once per call.

    Between epochs the number is 1, so that callbacks can evaluate and predict on any data. The
    callback does nothing for a model compiled with `steps_per_execution` above 1, a data set of
    unknown length, or a parameter server strategy, which dispatches single steps.

    Args:
      seconds: target duration of a call.
      largest: most steps in a call.

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
            # Keras has built a train function for single steps, without a loop over steps.
            self.model.steps_per_execution = 2
            self._loop = self.model.make_train_function(force=True)
            self.model.steps_per_execution = 1
        self._skip, self._times, self._together = _SETTLED, [], 1

    def on_epoch_begin(self, epoch, logs=None):
        self._last = None  # the time between epochs does not count as a step
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
