"""Callback that stops training at a loss that is not finite, and explains the cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError

_LARGE = 1e4  # inputs should be near 1


class FiniteLoss(keras.callbacks.Callback):
    """Raises InputError at the first batch after which the epoch's mean loss is not finite.

    The error names the batch, a column of the examples with values that are not finite or far too
    large, and the remedy. `fit` of this package's models adds this callback. It checks each loss
    one call later, when the step has finished anyway, so that it does not wait for a GPU.

    Args:
      data: the training dataset, in which to look for the column.

    Raises:
      InputError: after the batch, or at the end of the epoch at the latest.
    """

    def __init__(self, data):
        super().__init__()
        self._data = data
        self._supports_tf_logs = True  # losses stay tensors until they are checked

    def on_train_begin(self, logs=None):
        self._seen = 0  # batches of all epochs

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._next, self._waiting = epoch, 0, None

    def on_train_batch_end(self, batch, logs=None):
        self._look()
        loss = (logs or {}).get("loss")
        # With a parameter server the loss is not available yet.
        if loss is not None and isinstance(loss, tf.Tensor | float | np.floating | np.ndarray):
            self._waiting = self._next, batch, loss
        self._seen += batch + 1 - self._next
        self._next = batch + 1

    def on_epoch_end(self, epoch, logs=None):
        self._look()
        loss = (logs or {}).get("loss")
        if loss is not None:
            self._waiting = 0, self._next - 1, loss
            self._look()

    def _look(self) -> None:
        if self._waiting is None or np.isfinite(float(self._waiting[2])):
            return
        first, last, loss = self._waiting
        place = (
            f"batch {first + 1}"
            if first == last
            else f"one of the batches {first + 1} to {last + 1}"
        )
        raise InputError(
            f"training: the loss is not finite after {place} of epoch {self._epoch + 1}: "
            f"{self._cause()}. The model's weights are now invalid; build it again, or load a "
            f"checkpoint. Received: {float(loss)}"
        )

    def _cause(self) -> str:
        """Describes the likely cause and the remedy."""
        largest, where = _LARGE, None
        for name, values in self._inputs():
            bad = ~np.isfinite(values)
            if bad.any():
                return (
                    f"column {name!r} has {bad.sum()} values that are not finite in a batch, e.g. "
                    f"{values[bad][0]}; correct or drop these rows"
                )
            size = np.abs(values).max(initial=0.0)
            if size > largest:
                largest, where = size, name
        if where is not None:
            return (
                f"all inputs are finite, but column {where!r} reaches {largest:.3g}; scale it, or "
                "lower the learning rate"
            )
        return (
            "all inputs are finite and small, so the training diverged; lower the learning rate, "
            "or clip gradients (clipnorm=1.0 of a Keras optimizer)"
        )

    def _inputs(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields name and values of every float column, in a pass over the data."""
        spec = getattr(self.model, "spec", None)
        names = list(getattr(spec, "feature_names", ()))
        known = set(getattr(spec, "numbers", ()))  # the model replaces missing ones
        if not isinstance(self._data, tf.data.Dataset):
            return
        # A repeated dataset is infinite.
        endless = int(self._data.cardinality()) < 0
        for batch in self._data.take(self._seen) if endless else self._data:
            if not isinstance(batch, Mapping):
                return
            for name, values in batch.items():
                field = name.rpartition("/")[2]  # of a term's own examples
                if not values.dtype.is_floating or name in known:
                    continue
                values = values.numpy()
                if field == "item_features" and values.shape[-1] == len(names):
                    columns = ((name, values[..., j]) for j, name in enumerate(names))
                    yield from ((name, x.ravel()) for name, x in columns if name not in known)
                else:
                    yield name, values.ravel()
