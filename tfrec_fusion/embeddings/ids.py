"""Checks the ids of a store: strings, none missing, distinct, without line breaks."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec_fusion.errors import InputError
from tfrec_fusion.texts import check_unicode


def check_ids(ids, field: str, distinct: bool = True) -> pa.Array:
    """Converts ids to an Arrow array of strings; integers are written in decimal.

    Args:
        ids: sequence of only strings or only integers.
        field: name in error messages.
        distinct: whether duplicates raise an error.

    Raises:
        InputError: null or empty ids, mixed or other types, line breaks, duplicates.
    """
    objects = np.asarray(ids, dtype=object)
    check_unicode([value if isinstance(value, str) else "" for value in objects.ravel()], field)
    try:
        array = pa.array(objects, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"{field}: ids must all be strings or all integers; convert them with str(). "
            f"Received: {_first_line(error)}"
        ) from None
    if array.null_count:
        rows = np.flatnonzero(pc.is_null(array).to_numpy(zero_copy_only=False))
        raise InputError(
            f"{field}: {len(rows)} null ids, first at rows {_some(rows)}; drop those rows or give "
            f"them ids. Received: {len(array)} ids"
        )
    if pa.types.is_integer(array.type):
        array = array.cast(pa.string())
    if pa.types.is_binary(array.type):
        raise InputError(
            f"{field}: ids must be strings, not bytes; decode them, e.g. with "
            f"[value.decode('utf-8') for value in ids]. Received: {array[0].as_py()!r}"
        )
    if len(array) and not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        raise InputError(
            f"{field}: ids must be strings or integers; convert them with str(). "
            f"Received: {array.type}"
        )
    array = array.cast(pa.large_string())
    bad = np.flatnonzero(
        pc.match_substring_regex(array, r"^$|[\r\n]").to_numpy(zero_copy_only=False)
    )
    if len(bad):
        raise InputError(
            f"{field}: {len(bad)} ids are empty or contain a line break, first at rows "
            f"{_some(bad)}; rename them. Received: {array[int(bad[0])].as_py()!r}"
        )
    if distinct:
        _refuse_duplicates(array, field)
    return array


def rows_of(ids: pa.Array, known: pa.Array) -> np.ndarray:
    """Position of each id in ``known``, int64 ``[n]``; -1 if absent."""
    positions = pc.index_in(ids, value_set=known)
    return pc.fill_null(positions, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def _refuse_duplicates(array: pa.Array, field: str) -> None:
    counts = pc.value_counts(array)
    if len(counts) == len(array):
        return
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    examples = ", ".join(repr(value) for value in repeated[:3].to_pylist())
    raise InputError(
        f"{field}: {len(repeated)} ids occur more than once, first {examples}; keep one row per "
        f"id. Received: {len(array)} rows, {len(counts)} distinct ids"
    )


def _some(rows: np.ndarray) -> str:
    return ", ".join(str(row) for row in rows[:3])


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
