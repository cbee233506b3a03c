"""Reads tables and checks their columns."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset

from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path
from tfrec_fusion.texts import check_unicode

_log = logging.getLogger(__name__)

TEXT_COLUMNS = ("title", "name", "text", "description")
_LISTS = (list, tuple, np.ndarray)
_NULLABLE = {"i": "Int64", "u": "UInt64", "b": "boolean"}
# An id may be "NA" or "null", so in id columns of CSV files only empty fields are null.
_NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL"]


def read_table(
    path: str | os.PathLike, kind: str | None, what: str, columns: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Reads a Parquet file or folder, or a CSV file; ids and texts of a CSV stay strings.

    Args:
      path: of the file or folder.
      kind: "parquet", "csv", or None to decide by the ending of the path.
      what: name of the table in errors, "items" or "interactions".
      columns: name -> the column of the file for it; see `renamed`.

    Raises:
      InputError: the file does not exist or is not readable, or a column is missing.
    """
    path = local_path(path, what)
    if kind is None:
        kind = "csv" if path.name.lower().endswith((".csv", ".csv.gz")) else "parquet"
    if not path.exists():
        raise InputError(f"{what}: no such file or folder. Received: {path}")
    try:
        if kind == "csv":
            frame = _read_csv(path, columns or {})
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
    return renamed(frame, columns, what)


def parquet_files(path: str | os.PathLike, what: str) -> list[str]:
    """Lists the folder's `*.parquet` files by name, or the file itself."""
    path = local_path(path, what)
    if not path.is_dir():
        return [str(path)]
    files = sorted(str(file) for file in path.rglob("*.parquet"))
    if not files:
        raise InputError(f"{what}: the folder has no .parquet files. Received: {path}")
    return files


def renamed(frame: pd.DataFrame, columns: Mapping[str, str] | None, what: str) -> pd.DataFrame:
    """Renames columns of the frame.

    Args:
      columns: new name -> present column, e.g. `{"user_id": "userId"}`.

    Raises:
      InputError: a column does not exist; the message names similar ones.
    """
    if not columns or not isinstance(frame, pd.DataFrame):
        return frame
    for column in columns.values():
        _require(column, frame, f"{what}: columns")
    return frame.rename(columns={column: name for name, column in columns.items()})


def _require(column: str, frame: pd.DataFrame, what: str) -> None:
    names = [str(name) for name in frame.columns]
    if column not in names:
        near = ", ".join(map(repr, _near(column, names)))
        raise InputError(
            f"{what}: there is no column {column!r}{'; similar: ' if near else ''}{near}. "
            f"Columns received: {names}"
        )


def _near(name: str, names: list[str]) -> list[str]:
    """Up to three similar names, ignoring case and separators.

    The name of an id is most similar to names of ids: `item_id` to `movieId`, not to `title`.
    """
    plain = {"".join(filter(str.isalnum, other.lower())): other for other in names}
    wanted = "".join(filter(str.isalnum, name.lower()))
    least = 0.5
    if wanted.endswith("id"):
        ids = {other: found for other, found in plain.items() if other.endswith("id")}
        plain, least = (ids, 0.0) if ids else (plain, 0.6)
    return [plain[found] for found in difflib.get_close_matches(wanted, plain, 3, least)]


def _read_csv(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    header = pd.read_csv(path, nrows=0).columns
    name_of = {column: name for name, column in columns.items()}
    name_of = {column: name_of.get(column) or column for column in header}
    ids = [column for column in header if name_of[column].endswith("_id")]
    text = {column: str for column in header if column in ids or name_of[column] in TEXT_COLUMNS}
    nulls = {column: [""] if column in ids else _NULLS for column in header}
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=nulls)


def require_columns(frame: pd.DataFrame, columns: list[str], what: str) -> None:
    """Raises InputError if `frame` is no DataFrame, is empty, or lacks or repeats a column."""
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"{what}: must be a pandas DataFrame. Received: {type(frame).__name__}")
    names = [str(column) for column in frame.columns]
    missing = [column for column in columns if column not in names]
    if missing:
        others = [name for name in names if name not in columns]
        raise InputError(
            f"{what}: missing column {missing[0]!r}{_remedy(missing[0], others, what)}. "
            f"Columns received: {names}"
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"{what}: column {repeated[0]!r} occurs twice. Columns received: {names}")
    if len(frame) == 0:
        raise InputError(f"{what}: the table has no rows. Columns received: {names}")


def _remedy(missing: str, names: list[str], what: str) -> str:
    near = _near(missing, names)
    if not near:
        return ""
    option = "--item-columns" if what == "items" else "--columns"
    return (
        f"; similar: {', '.join(map(repr, near))}; rename it, or pass "
        f"columns={{{missing!r}: {near[0]!r}}} ({option} {missing}={near[0]})"
    )


def split_lists(frame: pd.DataFrame, lists: Mapping[str, str], what: str) -> pd.DataFrame:
    """Splits columns of separated texts into lists of texts; columns of lists stay as they are.

    It strips white space and drops empty texts; a missing value becomes an empty list.

    Args:
      lists: column -> separator.

    Raises:
      InputError: a column is missing, a separator is empty, or values are neither texts nor lists.
    """
    if not lists:
        return frame
    frame = frame.copy(deep=False)
    for column, separator in lists.items():
        _require(column, frame, f"{what}: lists")
        if not isinstance(separator, str) or not separator:
            raise InputError(
                f"{what}: lists: the separator of column {column!r} must be a non-empty text. "
                f"Received: {separator!r}"
            )
        if pd.api.types.infer_dtype(frame[column].dropna()) in ("mixed", "empty"):
            kinds = frame[column].dropna().map(lambda value: isinstance(value, _LISTS))
            if kinds.all():
                continue
        texts = check_texts(frame, column, what)
        split = [[part.strip() for part in text.split(separator)] for text in texts]
        values = [[part for part in parts if part] for parts in split]
        frame[column] = pd.Series(values, frame.index, dtype=object)
    return frame


def empty_ids(frame: pd.DataFrame, column: str) -> np.ndarray:
    """`[n]` bool: True for ids that are null or the empty string."""
    return (frame[column].isna() | (frame[column] == "")).to_numpy(bool)


def check_ids(frame: pd.DataFrame, column: str, what: str, remedy: str = "") -> np.ndarray:
    """Checks the ids of a column and returns them as an object array of strings.

    Raises:
      InputError: nulls, empty strings, values that are not strings (the text of a number depends on
        its type: 7, 7.0 and "7" would be three ids), or line breaks, which vocabularies cannot
        hold.
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
            advice = "convert with .astype(str) where that gives clean ids"
            if kinds[wrong].eq(bytes).any():
                advice = f"decode bytes with frame[{column!r}].str.decode('utf-8')"
            raise InputError(
                f"{what}: column {column!r} must hold strings, but {wrong.sum()} values are not "
                f"(types: {names}), first {values[wrong].iloc[0]!r}; {advice}"
            )
    ids = values.to_numpy(object)
    empty = ids == ""
    if empty.any():
        raise InputError(
            f"{what}: column {column!r} has {empty.sum()} empty ids, first at rows {_rows(empty)}; "
            f"drop or fill them{remedy}"
        )
    check_unicode(ids, f"{what}: column {column!r}")
    text = "\0".join(ids)
    if "\n" in text or "\r" in text:
        broken = [value for value in ids if "\n" in value or "\r" in value]
        raise InputError(
            f"{what}: column {column!r} has {len(broken)} ids with line breaks, first "
            f"{broken[0]!r}; strip them"
        )
    return ids


def distinct_ids(frame: pd.DataFrame, column: str, what: str) -> np.ndarray:
    """Checks a column as `check_ids` does, and that no id is repeated."""
    ids = check_ids(frame, column, what)
    repeated = pd.Series(ids).duplicated()
    if repeated.any():
        raise InputError(
            f"{what}: column {column!r} has {repeated.sum()} repeated ids, first "
            f"{ids[repeated][:3].tolist()}; keep one row per {what.removesuffix('s')}"
        )
    return ids


def check_texts(frame: pd.DataFrame, column: str, what: str) -> np.ndarray:
    """Checks a column of strings and returns it as an object array, "" for nulls."""
    values = frame[column]
    if not isinstance(values.dtype, pd.StringDtype):
        values = values.astype(object)
        wrong = (values.notna() & values.map(type).ne(str)).to_numpy(bool)
        if wrong.any():
            raise InputError(
                f"{what}: column {column!r} must hold text, but {wrong.sum()} values are not, "
                f"first {values[wrong].iloc[0]!r} at row {int(np.argmax(wrong))}; convert them"
            )
    texts = values.fillna("").to_numpy(object)
    check_unicode(texts, f"{what}: column {column!r}")
    return texts


def check_values(frame: pd.DataFrame, column: str, what: str) -> None:
    """Checks values that would otherwise fail later, in a training or an export.

    Raises:
      InputError: numbers are infinite, complex or beyond float32, or texts (also in lists) hold
        lone surrogates.
    """
    values = inferred(of_categories(frame[column]))
    field = f"{what}: column {column!r}"
    if pd.api.types.is_complex_dtype(values.dtype):
        raise InputError(f"{field} must hold real numbers. Received: {values.dtype}")
    if pd.api.types.is_numeric_dtype(values.dtype):
        found = values.astype("Float64").to_numpy(np.float64, na_value=np.nan)
        bad = ~np.isnan(found) & ~np.isfinite(as_float32(found))
        if bad.any():
            raise InputError(
                f"{field} has {bad.sum()} infinite values or values beyond float32's largest, "
                f"3.4e38, first {found[bad][0]:g}, at rows {_rows(bad)}; correct them, or make "
                "them missing (NaN)"
            )
    elif getattr(values.dtype, "storage", "python") == "python" and (
        pd.api.types.is_object_dtype(values.dtype) or isinstance(values.dtype, pd.StringDtype)
    ):
        # Arrow strings, pandas's default, are always valid UTF-8 and need no check.
        check_unicode(map(_text_of, values.tolist()), field)


def _text_of(value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, _LISTS):
        return "\0".join(text for text in value if isinstance(text, str))
    return ""


def as_float32(values: np.ndarray) -> np.ndarray:
    """Converts to float32; values beyond its range become infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def of_categories(values: pd.Series) -> pd.Series:
    """Converts a column of categories to the type of the categories; others stay as they are."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return values
    dtype = values.cat.categories.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in _NULLABLE:  # these have no missing value
        return values.astype(_NULLABLE[dtype.kind])
    try:
        return values.astype(dtype)
    except (TypeError, ValueError):  # intervals have no missing value either
        return values.astype(object)


def with_missing(frame: pd.DataFrame) -> pd.DataFrame:
    """Converts whole numbers and booleans to pandas's types that have a missing value."""
    types = {
        name: _NULLABLE[dtype.kind]
        for name, dtype in frame.dtypes.items()
        if isinstance(dtype, np.dtype) and dtype.kind in _NULLABLE
    }
    return frame.astype(types)


def inferred(values: pd.Series) -> pd.Series:
    """Converts a column of objects to their common type, if they have one."""
    if not pd.api.types.is_object_dtype(values.dtype):
        return values
    try:
        return values.infer_objects()
    except UnicodeEncodeError:  # lone surrogates
        return values


def numbers(frame: pd.DataFrame, column: str, what: str) -> np.ndarray:
    """Returns a column of real numbers as float64, NaN for values missing or beyond float32."""
    values = inferred(of_categories(frame[column]))
    try:
        if pd.api.types.infer_dtype(values, skipna=True) == "decimal":
            values = values.astype(float)
        if not pd.api.types.is_numeric_dtype(values.dtype):
            raise TypeError
        found = values.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        check_unicode((_text_of(value) for value in values), f"{what}: column {column!r}")
        wrong = values[pd.to_numeric(values.astype(str), errors="coerce").isna() & values.notna()]
        example = (wrong if len(wrong) else values).iloc[0]
        raise InputError(
            f"{what}: column {column!r} must be numeric. Received: {example!r} "
            f"({frame[column].dtype})"
        ) from None
    return np.where(np.isfinite(as_float32(found)), found, np.nan)


def check_present(values: np.ndarray, column: str, what: str, remedy: str = "") -> None:
    """Raises InputError if the values, from `numbers` or `timestamps`, hold NaN."""
    bad = np.isnan(values)
    if bad.any():
        raise InputError(
            f"{what}: column {column!r} has {bad.sum()} missing or non-finite values or values "
            f"beyond float32's largest, first at rows {_rows(bad)}; drop or fill them{remedy}"
        )


def _rows(mask: np.ndarray) -> str:
    first = np.flatnonzero(mask)[:3].tolist()
    return ", ".join(map(str, first))


def drop_incomplete(
    frame: pd.DataFrame, found: dict[str, np.ndarray]
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Drops the rows with a missing id or number from the frame and the numbers."""
    missing = empty_ids(frame, "user_id") | empty_ids(frame, "item_id")
    for values in found.values():
        missing |= np.isnan(values)
    if not missing.any():
        return frame, found
    if missing.all():
        raise InputError(
            f"interactions: nulls='drop' leaves none of {len(frame)} events; each lacks an id or a "
            "finite number"
        )
    _log.warning("interactions: dropped %d events with missing values", missing.sum())
    return frame[~missing], {name: values[~missing] for name, values in found.items()}
