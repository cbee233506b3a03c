"""Checks of the arguments of `fit` and `evaluate`, with errors that say what to pass instead."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.told_once import is_new

# With fewer steps an epoch hardly changes the model, and its loss is noisy.
_FEW_BATCHES = 50
_RISING = re.compile(r"val_(ndcg|recall|hr|mrr|map)@\d+")
_log = logging.getLogger(__name__)


def check_options(model: str, method: str, options: Mapping[str, object]) -> None:
    """Raises InputError if an option of Keras for plain arrays is set, which batches replace."""
    for key, value in options.items():
        if value is None:
            continue
        remedy = {
            "y": "the batches contain the targets",
            "validation_split": "pass validation_data, e.g. of split.validation()",
        }.get(key, "give the events a column 'weight' and make the batches from them")
        shown = f"{type(value).__name__}" if hasattr(value, "__len__") else repr(value)
        raise InputError(f"{model}: {method}: {key} is not supported; {remedy}. Received: {shown}")


def check_data(model: str, where: str, data) -> Mapping[str, tf.TensorSpec] | None:
    """Returns the fields of a dataset's batches; None if they are unknown beforehand.

    Raises:
      InputError: `data` are events, tables or arrays instead of batches, or batches that are not
        dicts.
    """
    received = f"Received: {type(data).__name__}"
    batches = "ranking_examples(events, 1024)" if model == "Ranker" else "events.batches(512)"
    if isinstance(data, Interactions | Split):
        raise InputError(f"{model}: {where}: pass batches, made by {batches}. {received}")
    tables = pd.DataFrame | pd.Series | np.ndarray | tf.Tensor | list | tuple
    if data is None or isinstance(data, tables):
        raise InputError(
            f"{model}: {where}: pass batches, made by {batches} from events = "
            f"Interactions.from_frame(frame, catalogue). {received}"
        )
    fields = getattr(data, "element_spec", None)
    if fields is None:
        return None
    if not isinstance(fields, Mapping):
        raise InputError(
            f"{model}: {where}: the batches must be dicts, as made by {batches}. Received: {fields}"
        )
    return fields


def is_flat(fields: Mapping[str, tf.TensorSpec]) -> bool:
    """Whether a batch has flat histories, whose length is not the number of examples."""
    return any(name.rpartition("/")[2] == "history_row" for name in fields)


def check_modes(model: str, callbacks: Iterable) -> None:
    """Raises InputError if a Keras callback treats a lower NDCG or recall as better."""
    for callback in callbacks:
        falls = getattr(callback, "monitor_op", None) is np.less
        if isinstance(callback, keras.callbacks.ReduceLROnPlateau):
            falls = callback.mode != "max"
        if falls and _RISING.fullmatch(callback.monitor):
            raise InputError(
                f"{model}: fit: {type(callback).__name__} treats lower values of "
                f"{callback.monitor!r} as better; pass mode='max'"
            )


def warn_of_few(model: str, data) -> None:
    """Logs a warning if an epoch is known to have few batches; see `told_once`."""
    if not isinstance(data, tf.data.Dataset):
        return
    count = int(data.cardinality())
    if 0 <= count < _FEW_BATCHES and is_new(model, "few batches"):
        _log.warning(
            "%s: fit: an epoch has %d batches; fewer than %d steps train little and noisily; use a "
            "smaller batch_size, more epochs or more events",
            model,
            count,
            _FEW_BATCHES,
        )
