"""Checks of the arrays that metrics compare."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype

from tfrec_fusion.errors import InputError

_KEYS = ("users", "lists")


def checked_rows(name: str, **columns: np.ndarray) -> list[np.ndarray]:
    """Returns columns as arrays, if they are one-dimensional and of equal length.

    "users" and "lists" hold integers or strings, none missing; other columns finite numbers.

    Args:
      name: of the metric, for the error.
      **columns: each `[n]`.

    Raises:
      InputError: they are not.

    Example:
      >>> checked_rows("auc", labels=[1, 0], scores=[0.5, 0.25])[1]
      array([0.5 , 0.25])
    """
    arrays = [_array(name, column, values) for column, values in columns.items()]
    if any(array.shape != (array.size,) or array.size != arrays[0].size for array in arrays):
        *names, last = columns
        raise InputError(
            f"{name}: {', '.join(names)} and {last} must be one-dimensional and of equal length. "
            f"Received: {', '.join(str(array.shape) for array in arrays)}"
        )
    for column, array in zip(columns, arrays, strict=True):
        wrong = pd.isna(array) if column in _KEYS else ~np.isfinite(array)
        if wrong.any():
            told = "missing" if column in _KEYS else "not finite"
            raise InputError(
                f"{name}: {wrong.sum()} {column} are {told}. Received: {array[wrong][0]}"
            )
    return arrays


def _array(name: str, column: str, values) -> np.ndarray:
    """A column as an array of numbers, or of what tells users or lists apart."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(
            f"{name}: {column} must be one-dimensional. Received: lists of several lengths"
        ) from None
    if column not in _KEYS:
        wanted = "numbers"
        fits = array.dtype.kind in "biuf"
    else:
        wanted = "integers or strings, of one kind"
        fits = array.dtype != object or not infer_dtype(array).startswith("mixed")
    if not fits:
        raise InputError(f"{name}: {column} must be {wanted}. Received: {array.ravel()[:3]}")
    return array


def checked_predictions(
    name: str, labels: np.ndarray, predictions: np.ndarray, from_logits: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels and predictions as float64, if both are shares or predictions are logits.

    Raises:
      InputError: they are not, or lengths differ.

    Example:
      >>> checked_predictions("log_loss", [1, 0], [0.5, 0.25], False)[0]
      array([1., 0.])
    """
    labels, predictions = checked_rows(name, labels=labels, predictions=predictions)
    shares = {"labels": labels} if from_logits else {"labels": labels, "predictions": predictions}
    for column, array in shares.items():
        wrong = (array < 0) | (array > 1)
        if wrong.any():
            hint = "" if column == "labels" else ", or pass from_logits=True"
            raise InputError(
                f"{name}: {column} must be between 0 and 1{hint}. Received: {array[wrong][0]}"
            )
    return labels.astype(np.float64), predictions.astype(np.float64)
