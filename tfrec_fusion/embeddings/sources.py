"""Opens vectors from a store, a file, an array or a frame."""

import os
from typing import Any

import pandas as pd

from tfrec_fusion.embeddings.aligned import AlignedVectors
from tfrec_fusion.embeddings.arrays import check_vectors, is_counted, load_npy
from tfrec_fusion.embeddings.store import VectorStore
from tfrec_fusion.errors import InputError


def open_vectors(source, ids=None, dtype="float32") -> AlignedVectors:
    """Vectors from a store, a file, an array or a frame, in the order of ``ids``.

    Args:
        source: a `VectorStore`, a store's folder, a ``.npy`` or ``.npz`` path ``[n, dims]``, a 2-D
            array, a tensor, or a frame. Stores, and frames whose index is not 0 to n - 1, are
            aligned by ids; other sources must have one row per id, in the order of ``ids``.
        ids: ``[n]`` item ids; None keeps the order of the source.
        dtype: ``"float32"`` or ``"float16"``.

    Raises:
        InputError: no such path, no vector for any of the ids, a number of rows that differs, NaN.

    Example:
        >>> import numpy as np
        >>> open_vectors(np.eye(2), ["a", "b"]).mask.tolist()
        [True, True]
    """
    if isinstance(source, AlignedVectors):
        raise InputError(
            "vectors: already aligned to another list of ids; give the store, file or array they "
            f"came from. Received: AlignedVectors of {len(source)} rows"
        )
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        source = (
            load_npy(path) if path.lower().endswith((".npy", ".npz")) else VectorStore.open(path)
        )
    frame: Any = source
    if isinstance(source, pd.DataFrame) and not is_counted(frame.index):
        source = VectorStore(frame.index, source)
    if not isinstance(source, VectorStore):
        source = check_vectors(source, "vectors")
        source = VectorStore(range(len(source)) if ids is None else ids, source)
    return source.align(source.ids if ids is None else ids, dtype)
