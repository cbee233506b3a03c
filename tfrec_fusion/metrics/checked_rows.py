"""Checks of the arrays that metrics compare."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.errors import InputError


def checked_rows(name: str, **columns: np.ndarray) -> list[np.ndarray]:
    """Returns columns as arrays, if they are one-dimensional and of equal length.

    Columns of numbers other than "users" and "lists" must be finite.

    Args:
      name: of the metric, for the error.
      **columns: each `[n]`.

    Raises:
      InputError: they are not.

    Example:
      >>> checked_rows("auc", labels=[1, 0], scores=[0.5, 0.25])[1]
      array([0.5 , 0.25])
    """
    arrays = [np.asarray(column) for column in columns.values()]
    if any(array.shape != (array.size,) or array.size != arrays[0].size for array in arrays):
        *names, last = columns
        raise InputError(
            f"{name}: {', '.join(names)} and {last} must be one-dimensional and of equal length. "
            f"Received: {', '.join(str(array.shape) for array in arrays)}"
        )
    for column, array in zip(columns, arrays, strict=True):
        if column in ("users", "lists"):
            continue
        wrong = ~np.isfinite(array)
        if wrong.any():
            raise InputError(
                f"{name}: {wrong.sum()} {column} are not finite. Received: {array[wrong][0]}"
            )
    return arrays


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
