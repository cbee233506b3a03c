"""Reading tables and checking their columns at the door."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset

from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path

TEXT_COLUMNS = ("title", "name", "text", "description")
# An id may well be "NA" or "null"; in an id column of a CSV file only the empty field is a null.
_NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL"]


def read_table(path: str | os.PathLike, kind: str, what: str) -> pd.DataFrame:
    """A Parquet file or folder, or a CSV file, as a frame; a CSV's ids and texts stay strings."""
    path = local_path(path, what)
    if not path.exists():
        raise InputError(f"{what}: no such file or folder. Received: {path}")
    try:
        if kind == "csv":
            frame = _read_csv(path)
        else:
            frame = pyarrow.dataset.dataset(parquet_files(path, what)).to_table().to_pandas()
    except (
        pa.ArrowException,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        OSError,
        UnicodeError,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{what}: {path} is not a readable {kind} table ({reason})") from None
    if kind == "csv" and not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{what}: {path} has rows with more fields than its header")
    return frame


def parquet_files(path: str | os.PathLike, what: str) -> list[str]:
    """The file itself, or the folder's `*.parquet` files, in the order of their names."""
    path = local_path(path, what)
    if not path.is_dir():
        return [str(path)]
    files = sorted(str(file) for file in path.rglob("*.parquet"))
    if not files:
        raise InputError(f"{what}: the folder has no .parquet files. Received: {path}")
    return files


def _read_csv(path: Path) -> pd.DataFrame:
    header = pd.read_csv(path, nrows=0).columns
    ids = [column for column in header if column.endswith("_id")]
    text = {column: str for column in header if column in ids or column in TEXT_COLUMNS}
    nulls = {column: [""] if column in ids else _NULLS for column in header}
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=nulls)


def require_columns(frame: pd.DataFrame, columns: list[str], what: str) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"{what}: must be a pandas DataFrame. Received: {type(frame).__name__}")
    names = [str(column) for column in frame.columns]
    missing = [column for column in columns if column not in names]
    if missing:
        raise InputError(f"{what}: missing column {missing[0]!r}. Columns received: {names}")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"{what}: column {repeated[0]!r} occurs twice. Columns received: {names}")
    if len(frame) == 0:
        raise InputError(f"{what}: the table has no rows. Columns received: {names}")


def empty_ids(frame: pd.DataFrame, column: str) -> np.ndarray:
    """`[n]` bool: the id is null or the empty string."""
    return (frame[column].isna() | (frame[column] == "")).to_numpy(bool)


def check_ids(frame: pd.DataFrame, column: str, what: str, remedy: str = "") -> np.ndarray:
    """The ids of `column` as an object array of non-empty strings.

    Raises:
      InputError: nulls, empty strings, values that are not strings (a number's text depends on its
        type: 7, 7.0 and "7" would be three ids), or line breaks, which vocabularies cannot hold.
    """
    values = frame[column]
    null = values.isna().to_numpy(bool)
    if null.any():
        raise InputError(
            f"{what}: column {column!r} has {null.sum()} null values, first at rows {_rows(null)}; "
            f"drop or fill them{remedy}"
        )
    if not isinstance(values.dtype, pd.StringDtype):
        values = values.astype(object)
        kinds = values.map(type)
        wrong = kinds.ne(str).to_numpy()
        if wrong.any():
            names = " and ".join(sorted({kind.__name__ for kind in kinds.unique()}))
            raise InputError(
                f"{what}: column {column!r} must hold strings and has {wrong.sum()} other values "
                f"(it holds {names}), first {values[wrong].iloc[0]!r}; convert with .astype(str) "
                "where that gives clean ids"
            )
    ids = values.to_numpy(object)
    empty = ids == ""
    if empty.any():
        raise InputError(
            f"{what}: column {column!r} has {empty.sum()} empty ids, first at rows {_rows(empty)}; "
            f"drop or fill them{remedy}"
        )
    text = "\0".join(ids)
    if "\n" in text or "\r" in text:
        broken = [value for value in ids if "\n" in value or "\r" in value]
        raise InputError(
            f"{what}: column {column!r} has {len(broken)} ids with line breaks, first "
            f"{broken[0]!r}; strip them"
        )
    return ids


def check_texts(frame: pd.DataFrame, column: str, what: str) -> np.ndarray:
    """A column of strings as an object array, "" where it is null."""
    values = frame[column]
    if not isinstance(values.dtype, pd.StringDtype):
        values = values.astype(object)
        wrong = (values.notna() & values.map(type).ne(str)).to_numpy(bool)
        if wrong.any():
            raise InputError(
                f"{what}: column {column!r} must hold text and has {wrong.sum()} other values, "
                f"first {values[wrong].iloc[0]!r} at row {int(np.argmax(wrong))}; convert them"
            )
    return values.fillna("").to_numpy(object)


def check_numbers(frame: pd.DataFrame, column: str, what: str, remedy: str = "") -> np.ndarray:
    """A finite numeric column as float64; a datetime column becomes unix seconds (naive is UTC)."""
    values = numbers(frame, column, what)
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputError(
            f"{what}: column {column!r} has {bad.sum()} missing or non-finite values, first at "
            f"rows {_rows(bad)}; drop or fill them{remedy}"
        )
    return values


def numbers(frame: pd.DataFrame, column: str, what: str) -> np.ndarray:
    """As `check_numbers`, with NaN where a value is missing."""
    values = frame[column]
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        epoch = pd.Timestamp(0, tz=values.dt.tz)
        return ((values - epoch) / pd.Timedelta(seconds=1)).to_numpy(np.float64)
    if pd.api.types.is_object_dtype(values.dtype):
        values = values.infer_objects()
    try:
        if not pd.api.types.is_numeric_dtype(values.dtype):
            raise TypeError
        return values.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        wrong = values[pd.to_numeric(values.astype(str), errors="coerce").isna() & values.notna()]
        example = (wrong if len(wrong) else values).iloc[0]
        raise InputError(
            f"{what}: column {column!r} must be numeric. Received: {example!r} "
            f"({frame[column].dtype})"
        ) from None


def _rows(mask: np.ndarray) -> str:
    first = np.flatnonzero(mask)[:3].tolist()
    return ", ".join(map(str, first))
