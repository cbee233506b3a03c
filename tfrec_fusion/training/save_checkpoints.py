"""The callback that makes a run resumable."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.training.checkpoints import Checkpoints


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves a checkpoint after each epoch, and sets the same random seed before each.

    The seed makes the random numbers of an epoch independent of earlier interruptions.

    Args:
      checkpoints: where to save.
      seed: set at the start of each epoch.
      history: metric -> values of the epochs done before.
    """

    def __init__(self, checkpoints: Checkpoints, seed: int, history: dict[str, list[float]]):
        super().__init__()
        self._checkpoints, self._seed, self._history = checkpoints, seed, dict(history)

    def on_epoch_begin(self, epoch, logs=None):
        keras.utils.set_random_seed(self._seed)

    def on_epoch_end(self, epoch, logs=None):
        for name, value in (logs or {}).items():
            self._history[name] = [*self._history.get(name, []), float(value)]
        self._checkpoints.save(self.model, epoch + 1, self._history)
