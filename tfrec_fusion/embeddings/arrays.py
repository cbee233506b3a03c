"""Checks arrays of vectors and converts them to their stored types."""

import os
import zipfile
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path

DTYPES = ("float16", "float32", "int8")
CHUNK_ROWS = 8192


def check_dtype(dtype, allowed=DTYPES, field: str = "dtype") -> np.dtype:
    """The NumPy dtype of this name, which must be one of ``allowed``."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in allowed:
        raise InputError(f"{field}: must be one of {', '.join(allowed)}. Received: {name!r}")
    return np.dtype(name)


def check_vectors(vectors, field: str, ids: pa.Array | None = None) -> np.ndarray:
    """Checks that ``vectors`` is a non-empty 2-D array of finite real numbers, one row per id.

    Args:
        vectors: ``[n, dims]`` of any real dtype, also a frame of numbers or a tensor of PyTorch or
            TensorFlow; memory maps are read in chunks.
        field: name in error messages.
        ids: the ids of the rows, if known; there must be as many as rows.

    Raises:
        InputError: wrong rank, type or number of rows, no rows or columns, NaN or infinity.
    """
    vectors = as_array(vectors, field)
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        raise InputError(
            f"{field}: must be a 2-D array of numbers, one row per item. "
            f"Received: shape {vectors.shape}, dtype {vectors.dtype}"
        )
    if ids is not None and len(ids) != len(vectors):
        raise InputError(
            f"{field}: must have one row per id, in the same order. "
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


def as_array(values, field: str) -> np.ndarray:
    """Converts numbers to a NumPy array; memory maps stay memory maps, bfloat16 becomes float32.

    Raises:
        InputError: ragged rows, masked or missing values, or a type that NumPy cannot read.
    """
    if isinstance(values, pd.DataFrame):
        return _of_frame(values, field)
    if isinstance(values, list | tuple) and any(map(_is_torch, values)):
        values = [_of_torch(row, field) if _is_torch(row) else row for row in values]
    if _is_torch(values):
        values = _of_torch(values, field)
    try:
        array = np.asanyarray(values)
    except (ValueError, TypeError, RuntimeError):
        raise InputError(
            f"{field}: the rows must be numbers and all have the same length. "
            f"Received: {type(values).__name__}, ragged or of another type"
        ) from None
    if np.ma.isMaskedArray(array) and np.ma.getmaskarray(array).any():
        raise InputError(
            f"{field}: {int(np.ma.getmaskarray(array).any(-1).sum())} rows have masked values; "
            "leave those items out (items without a vector are allowed). "
            f"Received: a masked array of shape {array.shape}"
        )
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    return array if isinstance(array, np.memmap) else np.asarray(array)


def check_range(vectors: np.ndarray, dtype: np.dtype, ids: pa.Array, field: str) -> None:
    """Checks that the values are neither too large nor too small for the stored type.

    Above 65504 a float16 is infinite; below 6e-5 it loses digits, and below 3e-8 it is 0. The
    rounding error may be at most a hundredth of a row's length.

    Raises:
        InputError: a value is too large, or rounding changes a row by more.
    """
    limited = np.dtype(np.float16 if dtype == np.float16 else np.float32)
    if dtype != np.int8 and np.can_cast(vectors.dtype, limited):
        return
    largest = float(np.finfo(limited).max)
    outside, lost = [], []
    for chunk in _float_chunks(vectors):
        outside.append(np.abs(chunk).max(axis=1) > largest)
        lost.append(_is_lost(chunk, dtype, limited))
    _refuse_rows(
        vectors,
        np.concatenate(outside),
        ids,
        f"{field}: values beyond {largest:.6g}, the largest {dtype},",
    )
    _refuse_rows(
        vectors,
        np.concatenate(lost),
        ids,
        f"{field}: values too small for {dtype}, which would change or become 0,",
        "scale all vectors up, or store a wider type" if limited == np.float16 else "scale them up",
    )


def _is_lost(vectors: np.ndarray, dtype: np.dtype, limited: np.dtype) -> np.ndarray:
    if dtype == np.int8:
        # The scale of a row must be a normal float32 number.
        row = np.abs(vectors).max(axis=1)
        return (row > 0) & (row < 127 * np.finfo(np.float32).tiny)
    with np.errstate(over="ignore", invalid="ignore"):
        moved = np.linalg.norm(vectors.astype(limited).astype(np.float64) - vectors, axis=1)
        return moved > 0.01 * np.linalg.norm(vectors, axis=1)


def quantize(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantizes ``[n, d]`` floats to int8 ``[n, d]`` and float32 scales ``[n]``: v ~ q * scale.

    A row's scale is its largest magnitude / 127, so the error is at most half a scale.
    """
    largest = np.abs(vectors).max(axis=1).astype(np.float32)
    scale = largest / np.float32(127)
    scale[scale == 0] = 1.0
    return np.clip(np.rint(vectors / scale[:, None]), -127, 127).astype(np.int8), scale


def load_npy(path) -> np.ndarray:
    """Opens a ``.npy`` file memory-mapped, or reads the only array of a ``.npz`` file.

    Raises:
        InputError: no such file, another kind of file, or several arrays.
    """
    path = local_path(path, "vectors")
    try:
        state = os.stat(path)
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(found, np.ndarray):
            with found:
                return _only(found, path)
        mapped: Any = found
        mapped.opened = state
        return found
    except FileNotFoundError:
        raise InputError(
            f"vectors: no such file; check the path. Received: {os.fspath(path)!r}"
        ) from None
    except InputError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"vectors: not a readable .npy file of numbers ({reason}); write it again with "
            f"numpy.save. Received: {os.fspath(path)!r}"
        ) from None


def check_unchanged(vectors: np.ndarray) -> None:
    """Checks that a memory-mapped file was not written to since `load_npy` opened it.

    Its values could be wrong, and reading beyond the end of a truncated file kills the process. A
    file that was replaced by a rename is fine: the map still reads the old one.

    Raises:
        InputError: the file was modified.
    """
    mapped: Any = vectors
    opened = getattr(mapped, "opened", None)
    if opened is None:
        return
    try:
        now = os.stat(mapped.filename)
    except OSError:
        return
    same_file = (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino)
    if same_file and (now.st_size, now.st_mtime_ns) != (opened.st_size, opened.st_mtime_ns):
        raise InputError(
            "vectors: the file was written to since it was opened; open it again, and replace a "
            "file that is in use by renaming a new one. "
            f"Received: {os.fspath(mapped.filename)!r}, {now.st_size} bytes now, "
            f"{opened.st_size} then"
        )


def _only(arrays, path) -> np.ndarray:
    names = list(arrays.files)
    if len(names) != 1:
        raise InputError(
            f"vectors: a .npz file must hold one array; save the intended one alone. "
            f"Received: {os.fspath(path)!r} with {names}"
        )
    return arrays[names[0]]


def is_counted(index: pd.Index) -> bool:
    """Whether a frame's index is 0, 1, ..., n - 1, and so no ids."""
    return index.equals(pd.RangeIndex(len(index)))


def _of_frame(frame: pd.DataFrame, field: str) -> np.ndarray:
    for name in frame:
        kind = frame[name].dtype
        if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_complex_dtype(kind):
            raise InputError(
                f"{field}: the frame's columns must be the dimensions, but column {name!r} does "
                f"not hold numbers; make ids the index with set_index. Received: {kind}"
            )
    array = frame.to_numpy()
    if array.dtype.kind not in "fiu":
        array = frame.to_numpy(np.float64, na_value=np.nan)
    return array


def _is_torch(values) -> bool:
    return hasattr(values, "detach") and hasattr(values, "cpu")


def _of_torch(tensor, field: str) -> np.ndarray:
    """Converts a PyTorch tensor to NumPy without importing PyTorch."""
    try:
        tensor = tensor.detach().cpu()
        if "bfloat16" in str(tensor.dtype):
            tensor = tensor.float()
        return tensor.numpy()
    except (TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{field}: the tensor is not readable ({reason})") from None


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


def _refuse_rows(
    vectors: np.ndarray,
    bad: np.ndarray,
    ids: pa.Array | None,
    what: str,
    advice: str = "leave those items out (items without a vector are allowed) or encode them again",
) -> None:
    rows = np.flatnonzero(bad)
    if not len(rows):
        return
    examples = ", ".join(
        f"row {row}" if ids is None else repr(ids[int(row)].as_py()) for row in rows[:3]
    )
    raise InputError(
        f"{what} in {len(rows)} of {len(vectors)} vectors, first {examples}; {advice}. "
        f"Received: dtype {vectors.dtype}, {vectors.shape[1]} dims"
    )
