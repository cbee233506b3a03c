"""What `fit` and `evaluate` of the models take, and what they say to anything else."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.errors import InputError

# Fewer steps in an epoch hardly move a model, and its loss is a matter of chance.
_FEW_BATCHES = 50
_RISING = re.compile(r"val_(ndcg|recall|hr|mrr|map)@\d+")
_log = logging.getLogger(__name__)


def check_options(model: str, method: str, options: Mapping[str, object]) -> None:
    """Raises InputError where Keras's options for plain arrays are given to a model of batches."""
    for key, value in options.items():
        if value is None:
            continue
        remedy = {
            "y": "targets are part of the batches",
            "validation_split": "pass validation_data, e.g. of split.validation()",
        }.get(key, "give the events a column 'weight' and make the batches of them")
        shown = f"{type(value).__name__}" if hasattr(value, "__len__") else repr(value)
        raise InputError(f"{model}: {method}: {key} is not taken; {remedy}. Received: {shown}")


def check_data(model: str, where: str, data) -> Mapping[str, tf.TensorSpec] | None:
    """The fields of a dataset's batches; None where they are not known beforehand.

    Raises:
      InputError: events, tables or arrays in place of batches, or batches that are no dicts.
    """
    received = f"Received: {type(data).__name__}"
    batches = "ranking_examples(events, 1024)" if model == "Ranker" else "events.batches(512)"
    if isinstance(data, Interactions | Split):
        raise InputError(f"{model}: {where}: pass batches, as {batches} makes them. {received}")
    tables = pd.DataFrame | pd.Series | np.ndarray | tf.Tensor | list | tuple
    if data is None or isinstance(data, tables):
        raise InputError(
            f"{model}: {where}: pass batches of Interactions.from_frame(frame, catalogue), as "
            f"{batches} makes them. {received}"
        )
    fields = getattr(data, "element_spec", None)
    if fields is None:
        return None
    if not isinstance(fields, Mapping):
        raise InputError(
            f"{model}: {where}: the batches must be dicts, as {batches} makes them. "
            f"Received: {fields}"
        )
    return fields


def is_flat(fields: Mapping[str, tf.TensorSpec]) -> bool:
    """Whether fields of a batch are not all of one row an example."""
    return "history_row" in fields


def check_modes(model: str, callbacks: Iterable) -> None:
    """Raises InputError where a callback of Keras takes a lower NDCG or recall for a better one."""
    for callback in callbacks:
        falls = getattr(callback, "monitor_op", None) is np.less
        if isinstance(callback, keras.callbacks.ReduceLROnPlateau):
            falls = callback.mode != "max"
        if falls and _RISING.fullmatch(callback.monitor):
            raise InputError(
                f"{model}: fit: {type(callback).__name__} takes lower values of "
                f"{callback.monitor!r} for better ones; pass mode='max'"
            )


def warn_of_few(model: str, data) -> None:
    """Logs a warning where an epoch has few batches, as far as their number is known."""
    if not isinstance(data, tf.data.Dataset):
        return
    count = int(data.cardinality())
    if 0 <= count < _FEW_BATCHES:
        _log.warning(
            "%s: fit: an epoch has %d batches, and fewer than %d steps teach little and by chance; "
            "take a smaller batch_size, more epochs or more events",
            model,
            count,
            _FEW_BATCHES,
        )
