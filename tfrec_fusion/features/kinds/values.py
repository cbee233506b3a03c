"""Reads columns as category texts and as numbers."""

from __future__ import annotations

import datetime
import numbers as number_types

import numpy as np
import pandas as pd

from tfrec_fusion._compat import tf
from tfrec_fusion.data.tables import numbers
from tfrec_fusion.errors import InputError

_LISTS = (list, tuple, set, np.ndarray)


def category_texts(frame: pd.DataFrame, column: str, table: str) -> np.ndarray:
    """Returns a column as texts: `[n]` objects, None for missing values and "".

    The same category has the same text whatever the column's type: the integer 3, the float 3.0 and
    "3" are "3"; booleans are "true" and "false"; dates are in ISO 8601.

    Raises:
      InputError: a value is a fraction, a list or of another type.
    """
    values = frame[column].astype(object).to_numpy(object)
    missing = frame[column].isna().to_numpy(bool)
    texts = np.empty(len(values), object)
    for row, value in enumerate(values):
        texts[row] = None if missing[row] else _text(value, column, table, row) or None
    return texts


def _text(value, column: str, table: str, row: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, number_types.Integral):
        return str(int(value))
    if isinstance(value, number_types.Real) and np.isfinite(number := float(value)):
        if not number.is_integer():
            raise InputError(
                f"{table}: column {column!r} is a category, and holds fractions, first at row "
                f"{row}; declare it as Number (scale='quantile' embeds bins of it), or convert it "
                f"to text. Received: {number!r}"
            )
        return str(int(number))
    if isinstance(value, datetime.date):
        return value.isoformat()
    advice = "; declare it as Tags" if isinstance(value, _LISTS) else ""
    raise InputError(
        f"{table}: column {column!r} is a category, and holds a {type(value).__name__}, first at "
        f"row {row}{advice}. Received: {str(value)[:80]}"
    )


def tag_lists(frame: pd.DataFrame, column: str, table: str, separator: str | None) -> list[list]:
    """Returns a column of lists as `n` lists of distinct texts; empty for missing values.

    Args:
      separator: splits texts; without one a text is a list of one.

    Raises:
      InputError: a value is neither a list of texts nor a text.
    """
    values = frame[column].astype(object).to_numpy(object)
    lists = []
    for row, value in enumerate(values):
        if isinstance(value, _LISTS):
            parts: list = list(value)
        elif _is_missing(value):
            parts = []
        elif isinstance(value, str):
            parts = value.split(separator) if separator else [value]
        else:
            parts = [value]
        wrong = [part for part in parts if not isinstance(part, str)]
        if wrong:
            raise InputError(
                f"{table}: column {column!r} holds tags, so each value must be a list of texts, or "
                f"a text with a separator; wrong at row {row}. Received: {wrong[0]!r}"
            )
        lists.append(list(dict.fromkeys(part.strip() for part in parts if part.strip())))
    return lists


def real_numbers(frame: pd.DataFrame, column: str, table: str) -> np.ndarray:
    """Returns a column as float64 `[n]`, NaN for missing values and those beyond float32.

    Raises:
      InputError: the column is not numeric.
    """
    return numbers(frame, column, table)


def vectors_of(
    frame: pd.DataFrame, column: str, table: str, size: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a column of vectors as float32 `[n, size]`, 0 for missing and empty ones, and a mask.

    Args:
      size: the number of dimensions; None takes that of the first vector.

    Raises:
      InputError: a value is no list of finite numbers, or has another number of dimensions.
    """
    values = frame[column].astype(object).to_numpy(object)
    here = np.array([isinstance(value, _LISTS) and len(value) > 0 for value in values], bool)
    rows = np.flatnonzero(here)
    if size is None:
        size = len(values[rows[0]]) if len(rows) else 0
    found = np.zeros((len(values), size), np.float32)
    if _are_arrays(values[rows], size) and (here | frame[column].isna().to_numpy(bool)).all():
        found[rows] = np.stack(values[rows])
        if np.isfinite(found).all():
            return found, here
    for row, value in enumerate(values):
        if here[row]:
            vector = _vector(value)
            if vector is not None and vector.shape == (size,):
                found[row] = vector
                continue
        elif _is_missing(value) or (isinstance(value, _LISTS) and not len(value)):
            continue
        raise InputError(
            f"{table}: column {column!r} holds vectors, so each value must be a list of {size} "
            f"finite numbers; wrong at row {row}. Received: {str(value)[:80]}"
        )
    return found, here


def _are_arrays(values: np.ndarray, size: int) -> bool:
    """Whether all are arrays of numbers `[size]`, as those of a vector store."""
    shape = (size,)
    return len(values) > 0 and all(
        isinstance(one, np.ndarray) and one.dtype.kind in "iuf" and one.shape == shape
        for one in values
    )


def _vector(value) -> np.ndarray | None:
    try:
        with np.errstate(over="ignore"):
            given = np.asarray(value)
            vector = given.astype(np.float32) if given.dtype.kind in "iufO" else None
    except (TypeError, ValueError):
        return None
    return vector if vector is not None and np.isfinite(vector).all() else None


def _is_missing(value) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def real_tensor(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns numbers float64 with 0 for missing ones, and whether each is missing, as bool.

    NaN and numbers beyond float32 are missing.
    """
    # Not the negation of <=, which the graph optimizer rewrites to >, false for NaN.
    beyond = tf.abs(tf.cast(values, tf.float32)) > np.finfo(np.float32).max
    missing = beyond | tf.math.is_nan(values)
    return tf.where(missing, tf.zeros_like(values), values), missing
