"""Reading tables and checking their columns at the door."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset

from tfrec_fusion.errors import InputError


def read_table(path: str | os.PathLike, kind: str, what: str, columns=None) -> pd.DataFrame:
    """A Parquet file or folder, or a CSV file, as a frame whose `*_id` columns are untouched strings."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{what}: no such file or folder. Received: {path}")
    try:
        if kind == "csv":
            header = pd.read_csv(path, nrows=0).columns
            text = {column: str for column in header if column.endswith("_id")}
            return pd.read_csv(path, dtype=text, keep_default_na=True, na_values=[""])
        return pyarrow.dataset.dataset(path, format="parquet").to_table(columns=columns).to_pandas()
    except (
        pa.ArrowException,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        OSError,
        UnicodeError,
    ) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{what}: {path} is not a readable {kind} table ({reason})") from None


def require_columns(frame: pd.DataFrame, columns: list[str], what: str) -> None:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise InputError(
            f"{what}: missing column {missing[0]!r}. Columns received: {[str(c) for c in frame.columns]}"
        )


def check_ids(frame: pd.DataFrame, column: str, what: str) -> np.ndarray:
    """The ids of `column` as an object array of non-empty strings.

    Raises:
      InputError: the column is missing, or has nulls, empty strings, or values that are not strings
        (a number's text depends on its type: 7, 7.0 and "7" would be three ids).
    """
    require_columns(frame, [column], what)
    values = frame[column]
    null = values.isna().to_numpy()
    if null.any():
        raise InputError(
            f"{what}: column {column!r} has {null.sum()} nulls, first at rows "
            f"{np.flatnonzero(null)[:3].tolist()}; drop or fill them"
        )
    if not isinstance(values.dtype, pd.StringDtype):
        values = values.astype(object)
        kinds = values.map(type)
        if (kinds != str).any():
            names = sorted({kind.__name__ for kind in kinds.unique()})
            example = values[kinds != str].iloc[0]
            raise InputError(
                f"{what}: column {column!r} must hold strings; it holds {' and '.join(names)}, first "
                f"{example!r}; convert with .astype(str) where the ids are clean"
            )
    ids = values.to_numpy(object)
    empty = ids == ""
    if empty.any():
        raise InputError(
            f"{what}: column {column!r} has {empty.sum()} empty ids, first at rows "
            f"{np.flatnonzero(empty)[:3].tolist()}"
        )
    return ids


def check_numbers(frame: pd.DataFrame, column: str, what: str) -> np.ndarray:
    """A finite numeric column as float64."""
    try:
        values = frame[column].astype("Float64").to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        example = frame[column].iloc[0] if len(frame) else None
        raise InputError(
            f"{what}: column {column!r} must be numeric. Received: {example!r} ({frame[column].dtype})"
        ) from None
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputError(
            f"{what}: column {column!r} has {bad.sum()} missing or non-finite values, first at rows "
            f"{np.flatnonzero(bad)[:3].tolist()}"
        )
    return values
