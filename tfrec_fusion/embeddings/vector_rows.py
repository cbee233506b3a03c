"""Reads and checks the ids and vectors that a store is made from."""

import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset

from tfrec_fusion.embeddings.arrays import check_vectors, is_counted
from tfrec_fusion.embeddings.ids import check_ids
from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path


def present_rows(ids, vectors, mask) -> tuple[pa.Array, np.ndarray]:
    """Returns the checked ids and vectors of the rows that have a vector."""
    known = check_ids(ids, "ids")
    if isinstance(vectors, pd.DataFrame):
        _check_index(known, vectors.index)
    if mask is None:
        return known, check_vectors(vectors, "vectors", known)
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != (len(known),):
        raise InputError(
            f"mask: must be {len(known)} booleans, one per id. "
            f"Received: shape {mask.shape}, dtype {mask.dtype}"
        )
    if len(vectors) != len(known):
        check_vectors(vectors, "vectors", known)
    known = known.filter(pa.array(mask))
    return known, check_vectors(np.asanyarray(vectors)[mask], "vectors", known)


def _check_index(known: pa.Array, index: pd.Index) -> None:
    """Raises InputError if a frame's index has another order than the ids."""
    if is_counted(index):
        return
    if not all(isinstance(value, str) for value in index):
        raise InputError(
            "vectors: the frame's index is neither 0, 1, ... nor ids, so the order of its rows is "
            "unknown; call set_index with the item ids, or pass .to_numpy() if the rows are in "
            f"the order of the ids. Received: {index[:3].tolist()}"
        )
    if index.tolist() != known.to_pylist():
        raise InputError(
            "vectors: the frame's index has other ids, or another order, than the ids; pass "
            f"frame.loc[ids]. Received: index {index[:3].tolist()}, ids {known[:3].to_pylist()}"
        )


def read_columns(path, columns: list[str]) -> pa.Table:
    """Reads columns of a Parquet file or folder; InputError if it or one of them is missing."""
    name = os.fspath(local_path(path, "vectors"))
    if not os.path.exists(name):
        raise InputError(f"vectors: no such file; check the path. Received: {name!r}")
    try:
        data = pyarrow.dataset.dataset(name, format="parquet")
        absent = [column for column in columns if column not in data.schema.names]
        if not absent:
            return data.to_table(columns=columns)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"vectors: {name!r} is not a Parquet file or a folder of them; write it again. "
            f"Received: {str(error).splitlines()[0]}"
        ) from None
    raise InputError(
        f"vectors: no column {absent[0]!r} in {name!r}; name an existing one. "
        f"Received: {data.schema.names}"
    )
