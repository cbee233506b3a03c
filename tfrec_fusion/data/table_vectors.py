"""Vectors that belong to the rows of a table."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from tfrec_fusion.data.tables import check_ids, empty_ids, require_columns
from tfrec_fusion.embeddings import AlignedVectors, VectorStore, open_vectors
from tfrec_fusion.embeddings.arrays import is_counted
from tfrec_fusion.errors import InputError

ROW_OF = "_vector_"
"""Prefix of the hidden column of an event with the row of its vector, -1 for none."""


def table_vectors(
    vectors: Mapping[str, object] | None, ids: np.ndarray, what: str, taken: Collection[str]
) -> dict[str, AlignedVectors]:
    """Opens the vectors of a table's rows.

    Args:
      vectors: name -> what `open_vectors` takes.
      ids: `[n]` ids of the rows.
      what: name of the table in errors.
      taken: names of the table's columns.

    Raises:
      InputError: `vectors` is no mapping, has the name of a column, or a store does not fit.
    """
    _check_names(vectors, what, taken)
    return {name: _opened(name, source, ids, what) for name, source in (vectors or {}).items()}


def event_vectors(
    vectors: Mapping[str, object] | None, frame: pd.DataFrame
) -> tuple[dict[str, AlignedVectors], pd.DataFrame]:
    """Opens the vectors of events.

    Args:
      vectors: name -> a `VectorStore` or its folder, whose ids are those of the frame's column
        `<name>_id`; or a `.npy` file or an array `[n, dim]` in the frame's order.
      frame: the events.

    Returns:
      Name -> the distinct vectors; and the frame with a column of their rows for each.

    Raises:
      InputError: as in `table_vectors`, or a store without a column of ids.
    """
    if vectors is None:
        return {}, frame
    require_columns(frame, ["user_id", "item_id"], "interactions")
    _check_names(vectors, "interactions", frame.columns)
    opened, rows = {}, {}
    for name, source in (vectors or {}).items():
        if _is_counted(source):
            opened[name] = _opened(name, source, np.arange(len(frame)), "interactions")
            found = np.arange(len(frame))
        else:
            column = f"{name}_id"
            if column not in frame:
                raise InputError(
                    f"interactions: vectors: the ids of the store {name!r} are those of a column "
                    f"{column!r} of the events, which is missing; add it, or rename another by "
                    f"columns={{{column!r}: COLUMN}}. Received: {list(frame.columns)}"
                )
            here = ~empty_ids(frame, column)
            ids = check_ids(frame[here], column, "interactions")
            if not len(ids):
                raise InputError(
                    f"interactions: vectors: column {column!r} has no id in {len(frame)} events; "
                    f"leave the vectors {name!r} out"
                )
            codes, distinct = pd.factorize(ids)
            opened[name] = _opened(name, source, np.asarray(distinct, object), "interactions")
            found = np.full(len(frame), -1)
            found[here] = codes
        found = np.where(found >= 0, np.where(opened[name].mask[found], found, -1), -1)
        rows[ROW_OF + name] = found.astype(np.int32)
    return opened, frame.assign(**rows) if rows else frame


def arrays_of(aligned: AlignedVectors, rows: np.ndarray) -> np.ndarray:
    """Returns the vectors of rows `[n]` as objects: arrays `[dim]`, None for row -1 and missing."""
    column = np.empty(len(rows), object)
    for place in np.flatnonzero((rows >= 0) & aligned.mask[rows]):
        column[place] = aligned.values[rows[place]]
    return column


def _is_counted(source) -> bool:
    """Whether vectors are in the order of the table, without ids of their own."""
    if isinstance(source, pd.DataFrame):
        return is_counted(source.index)
    if isinstance(source, str | os.PathLike):
        return os.fspath(source).lower().endswith((".npy", ".npz"))
    return not isinstance(source, VectorStore)


def _check_names(vectors, what: str, taken: Collection[str]) -> None:
    if vectors is not None and not isinstance(vectors, Mapping):
        raise InputError(
            f"{what}: vectors must name each store, as in vectors={{'text': array}}. "
            f"Received: {type(vectors).__name__}"
        )
    for name in vectors or {}:
        if not isinstance(name, str) or not name:
            raise InputError(f"{what}: vectors: names must be texts. Received: {name!r}")
        if name in taken:
            raise InputError(
                f"{what}: vectors: the table has a column {name!r} too; give the vectors "
                f"another name. Received: {list(vectors or {})}"
            )


def _opened(name: str, source, ids: np.ndarray, what: str) -> AlignedVectors:
    try:
        return open_vectors(source, ids)
    except InputError as error:
        raise InputError(f"{what}: {name!r}: {error}") from None
