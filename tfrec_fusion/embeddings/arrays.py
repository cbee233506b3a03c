"""Arrays of vectors: checked for shape and finiteness, and turned into their stored types."""

import os

import numpy as np
import pyarrow as pa

from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path

DTYPES = ("float16", "float32", "int8")
CHUNK_ROWS = 8192


def check_dtype(dtype, allowed=DTYPES, field: str = "dtype") -> np.dtype:
    """The numpy dtype named, if it is one of ``allowed``."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in allowed:
        raise InputError(f"{field}: must be one of {', '.join(allowed)}. Received: {name!r}")
    return np.dtype(name)


def check_vectors(vectors, field: str, ids: pa.Array | None = None) -> np.ndarray:
    """A non-empty 2-D array of finite real numbers, one row an id.

    Args:
        vectors: ``[n, dims]``, any real dtype; memory maps are read in chunks.
        field: what error messages call it.
        ids: the ids of the rows, if known: their number must agree.

    Raises:
        InputError: wrong rank, type or number of rows, no rows or columns, NaN or infinity.
    """
    try:
        vectors = np.asanyarray(vectors)
    except ValueError:
        raise InputError(
            f"{field}: the rows must all have the same length. Received: a ragged sequence"
        ) from None
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        raise InputError(
            f"{field}: must be a 2-D array of numbers, one row an item. "
            f"Received: shape {vectors.shape}, dtype {vectors.dtype}"
        )
    if ids is not None and len(ids) != len(vectors):
        raise InputError(
            f"{field}: must have one row an id, in the same order. "
            f"Received: {len(vectors)} rows and {len(ids)} ids"
        )
    if not vectors.size:
        raise InputError(
            f"{field}: there are no vectors; give at least one row and one dimension. "
            f"Received: shape {vectors.shape}"
        )
    if vectors.dtype.kind == "f":
        _refuse_rows(vectors, ~_finite_rows(vectors), ids, f"{field}: NaN or infinity")
    return vectors


def check_range(vectors: np.ndarray, dtype: np.dtype, ids: pa.Array, field: str) -> None:
    """Refuse rows with a value that does not fit the stored type (above 65504 for float16)."""
    limited = np.dtype(np.float16 if dtype == np.float16 else np.float32)
    if np.can_cast(vectors.dtype, limited):
        return
    largest = float(np.finfo(limited).max)
    outside = np.concatenate([np.abs(c).max(axis=1) > largest for c in _float_chunks(vectors)])
    _refuse_rows(vectors, outside, ids, f"{field}: values beyond {largest:.6g}, {dtype}'s largest,")


def quantize(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``[n, d]`` floats as int8 ``[n, d]`` and a float32 scale a row ``[n]``: v ~ q * scale.

    The scale is the row's largest magnitude over 127, so the error is at most half a scale.
    """
    largest = np.abs(vectors).max(axis=1).astype(np.float32)
    scale = largest / np.float32(127)
    scale[scale == 0] = 1.0
    return np.clip(np.rint(vectors / scale[:, None]), -127, 127).astype(np.int8), scale


def load_npy(path) -> np.ndarray:
    """A ``.npy`` file, memory-mapped."""
    path = local_path(path, "vectors")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(
            f"vectors: no such file; check the path. Received: {os.fspath(path)!r}"
        ) from None
    except (ValueError, OSError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"vectors: not a readable .npy file of numbers ({reason}); write it again with "
            f"numpy.save. Received: {os.fspath(path)!r}"
        ) from None


def _finite_rows(vectors: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [
            np.isfinite(vectors[start : start + CHUNK_ROWS]).all(axis=1)
            for start in range(0, len(vectors), CHUNK_ROWS)
        ]
    )


def _float_chunks(vectors: np.ndarray):
    for start in range(0, len(vectors), CHUNK_ROWS):
        yield vectors[start : start + CHUNK_ROWS].astype(np.float64)


def _refuse_rows(vectors: np.ndarray, bad: np.ndarray, ids: pa.Array | None, what: str) -> None:
    rows = np.flatnonzero(bad)
    if not len(rows):
        return
    examples = ", ".join(
        f"row {row}" if ids is None else repr(ids[int(row)].as_py()) for row in rows[:3]
    )
    raise InputError(
        f"{what} in {len(rows)} of {len(vectors)} vectors, first {examples}; leave those items out "
        f"(items without a vector are allowed) or encode them again. "
        f"Received: dtype {vectors.dtype}, {vectors.shape[1]} dims"
    )
