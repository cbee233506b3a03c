"""Precomputed vectors on disk: one folder, memory-mapped, that says what is in it."""

import logging
import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset

from tfrec_fusion.embeddings.aligned import AlignedVectors
from tfrec_fusion.embeddings.arrays import (
    CHUNK_ROWS,
    check_dtype,
    check_range,
    check_vectors,
    is_counted,
    load_npy,
)
from tfrec_fusion.embeddings.hashing import text_hash
from tfrec_fusion.embeddings.ids import check_ids, rows_of
from tfrec_fusion.embeddings.manifest import Manifest
from tfrec_fusion.embeddings.steps import RecordedStep, apply_steps, check_step, final_dims
from tfrec_fusion.embeddings.store_files import (
    StoreContent,
    check_text_hashes,
    read_store,
    refuse_foreign,
    write_store,
)
from tfrec_fusion.embeddings.truncation import Truncation
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import new_folder
from tfrec_fusion.paths import local_path

_log = logging.getLogger(__name__)


class VectorStore:
    """One vector an id, on disk or in memory, in float16, float32 or int8.

    The folder holds ``vectors.npy`` ``[rows, dims]``, ``ids.txt`` (UTF-8, one id a line),
    ``manifest.json``, for int8 also ``scale.npy`` (``[rows]`` float32; vector = stored * scale)
    and, where known, ``text_hashes.txt`` (one `text_hash` a line). The vectors are memory-mapped:
    opening reads them once for their checksum and keeps none of them. Writing is atomic: a kill at
    any moment leaves the old store or the new one, complete.

    Steps (`add_step`) are recorded in the manifest and applied when vectors are read; the folder
    keeps the raw vectors, so rows that come later pass through the same fitted steps.

    Attributes:
        ids: numpy object array ``[rows]`` of str.
        path: its folder; None for a store that is not on disk.

    Example:
        >>> import numpy as np, tempfile
        >>> folder = tempfile.mkdtemp() + "/vectors"
        >>> store = VectorStore.write(folder, ["a", "b"], np.eye(2), encoder="by hand")
        >>> store.align(["b", "new"]).mask.tolist()
        [True, False]
    """

    def __init__(self, ids, vectors, mask=None):
        """A store in memory, from ids and ``[n, dims]`` floats in the same order.

        Args:
            ids, vectors: as for `write`.
            mask: ``[n]`` bool, False where an item has no vector (a product without a picture):
                its row of ``vectors`` is ignored and the store has no row for it.

        Raises:
            InputError: duplicate or empty ids, NaN or infinity, wrong rank or number of rows.
        """
        known, vectors = _present(ids, vectors, mask)
        if vectors.dtype not in (np.float16, np.float32):
            check_range(vectors, np.dtype(np.float32), known, "vectors")
            vectors = vectors.astype(np.float32)
        self._content = StoreContent(known, vectors)
        self.path: Path | None = None

    def __len__(self) -> int:
        return len(self._content.vectors)

    def __repr__(self) -> str:
        where = "in memory" if self.path is None else repr(str(self.path))
        return f"VectorStore({where}, {len(self)} x {self.dims} {self.dtype})"

    @cached_property
    def ids(self) -> np.ndarray:
        return self._content.ids.to_numpy(zero_copy_only=False)

    @property
    def dims(self) -> int:
        """Length of one vector, after the steps."""
        return final_dims(self._content.vectors.shape[1], self._content.steps)

    @property
    def dtype(self) -> str:
        """The stored type: float16, float32 or int8."""
        return self._content.vectors.dtype.name

    @property
    def manifest(self) -> Manifest | None:
        """What the folder says of itself; None for a store that is not on disk."""
        return self._content.manifest

    @property
    def text_hashes(self) -> list[str] | None:
        """The `text_hash` of each row's text, where the store keeps them."""
        return self._content.text_hashes

    @property
    def steps(self) -> tuple:
        """The fitted steps that the raw vectors pass through when they are read, in order."""
        return tuple(recorded.step for recorded in self._content.steps)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of content and origin (64 hex digits): equal stores, equal fingerprints."""
        manifest = self.manifest or write_store(None, self._content, self.dtype)
        return manifest.fingerprint

    def values(self, rows=None, dtype="float32") -> np.ndarray:
        """Vectors as floats.

        Args:
            rows: int positions ``[n]`` in the store, -1 for a zero row; None for all.
            dtype: ``"float32"`` or ``"float16"``.

        Returns:
            ``[n, dims]``, a copy.
        """
        dtype = check_dtype(dtype, ("float32", "float16"))
        if rows is None:
            rows = np.arange(len(self))
        rows = np.asarray(rows, dtype=np.int64)
        if rows.ndim != 1 or (len(rows) and (rows.min() < -1 or rows.max() >= len(self))):
            raise InputError(
                f"rows: must be 1-D positions from -1 (none) to {len(self) - 1}. "
                f"Received: shape {rows.shape}, largest {rows.max(initial=-1)}, "
                f"smallest {rows.min(initial=0)}"
            )
        out = np.zeros((len(rows), self.dims), dtype)
        for start in range(0, len(rows), CHUNK_ROWS):
            part = rows[start : start + CHUNK_ROWS]
            chunk = apply_steps(self._content.raw(part), self._content.steps)
            chunk = np.where((part >= 0)[:, None], chunk, 0)
            ids = self._content.ids.take(pa.array(np.maximum(part, 0)))
            field = f"vectors of {self!r}"
            check_range(check_vectors(chunk, field, ids), dtype, ids, field)
            out[start : start + CHUNK_ROWS] = chunk
        return out

    def align(self, ids, dtype="float32") -> AlignedVectors:
        """The vectors of ``ids``, in their order; ids without one get a zero row and mask False.

        A vector of zeros alone, as encoders and tables give for what they do not know, is none.

        Raises:
            InputError: none of the ids has a vector, or an id is null, empty or repeated.
        """
        wanted = check_ids(ids, "ids to align with")
        rows = rows_of(wanted, self._content.ids)
        if not (rows >= 0).any():
            raise InputError(
                f"vectors: none of the {len(wanted)} items has a vector in {self!r}; the ids must "
                f"be written alike. Received: items {_examples(wanted)}; vectors "
                f"{_examples(self._content.ids)}"
            )
        zero = self._is_zero(rows)
        if zero.sum() == (rows >= 0).sum():
            raise InputError(
                f"vectors: all of the items' {zero.sum()} vectors are zeros alone, which says "
                f"nothing of them; encode them again. Received: {self!r}"
            )
        if zero.any():
            _log.warning(
                "vectors: %d of %d items have a vector of zeros alone, which counts as none",
                zero.sum(),
                len(rows),
            )
            rows[zero] = -1
        return AlignedVectors(self.values(rows, dtype), rows >= 0)

    def _is_zero(self, rows: np.ndarray) -> np.ndarray:
        """``[n]`` bool: the row is there, and holds zeros alone."""
        zero = np.zeros(len(rows), bool)
        for start in range(0, len(rows), CHUNK_ROWS):
            part = rows[start : start + CHUNK_ROWS]
            zero[start : start + CHUNK_ROWS] = (part >= 0) & ~self._content.raw(part).any(axis=1)
        return zero

    def add_step(self, step, fit_on=None) -> "VectorStore":
        """The store with one more step after those it has; a store on disk is replaced there.

        Args:
            step: a `Truncation`, `PCA` or `Whitening`.
            fit_on: ids of the training items, which a `PCA` or `Whitening` is fitted on after the
                earlier steps; those without a vector are passed over. None for a step that is
                fitted already, or needs no fitting.

        Raises:
            InputError: a step that is not fitted and no ``fit_on``, or a step that does not fit
                the dims.

        Example:
            >>> store = VectorStore(["a", "b", "c"], [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
            >>> from tfrec_fusion.embeddings import PCA
            >>> store.add_step(PCA(1), fit_on=["a", "b"]).dims
            1
        """
        check_step(step)
        record = {"kind": step.kind, "config": step.get_config()}
        record["file"] = f"step_{len(self.steps)}.{'json' if step.kind == 'truncation' else 'npz'}"
        if fit_on is not None and not isinstance(step, Truncation):
            rows = rows_of(check_ids(fit_on, "fit_on", distinct=False), self._content.ids)
            rows = np.unique(rows[rows >= 0])
            step = type(step)(**step.get_config()).fit(self.values(rows))
            ids = "\n".join(self._content.ids.take(rows).to_pylist())
            record |= {"fitted_rows": len(rows), "fitted_ids": text_hash(ids)}
        if not step.fitted:
            raise InputError(
                f"fit_on: a step of kind {step.kind!r} learns from training rows; give their ids, "
                "or a fitted step. Received: None"
            )
        step.width(self.dims)
        steps = (*self._content.steps, RecordedStep(step, record))
        content = replace(self._content, steps=steps, manifest=None)
        return self._replaced(content)

    def _replaced(self, content: StoreContent) -> "VectorStore":
        manifest = self.manifest
        if self.path is None or manifest is None:
            store = VectorStore.__new__(VectorStore)
            store._content, store.path = content, None
            return store
        with new_folder(self.path) as folder:
            write_store(folder, content, self.dtype, **manifest.origin())
        return VectorStore.open(self.path)

    @classmethod
    def from_npy(cls, path, ids) -> "VectorStore":
        """A store in memory over a memory-mapped ``.npy`` file ``[n, dims]`` and its row ids."""
        return cls(ids, load_npy(path))

    @classmethod
    def from_parquet(cls, path, column: str, id_column: str = "item_id") -> "VectorStore":
        """A store in memory from a Parquet file or folder with one list of numbers a row.

        Args:
            path: Parquet file, or folder of them.
            column: list, large list or fixed-size list of numbers.
            id_column: strings or integers.

        Raises:
            InputError: missing file or columns, null or ragged lists, and all that the
                constructor refuses.
        """
        table = _read_columns(path, [id_column, column])
        lists = table[column].combine_chunks()
        field = f"column {column!r} of {os.fspath(path)!r}"
        if not (
            pa.types.is_list(lists.type)
            or pa.types.is_large_list(lists.type)
            or pa.types.is_fixed_size_list(lists.type)
        ):
            raise InputError(f"{field}: must hold lists of numbers. Received: {lists.type}")
        if lists.null_count:
            raise InputError(
                f"{field}: {lists.null_count} rows have no vector; drop them (items without a "
                f"vector are allowed). Received: {len(lists)} rows"
            )
        lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
        if len(lengths) and lengths.min() != lengths.max():
            odd = np.flatnonzero(lengths != np.bincount(lengths).argmax())
            raise InputError(
                f"{field}: the vectors must have one length; {len(odd)} rows differ, first at row "
                f"{odd[0]}. Received: lengths {lengths.min()} to {lengths.max()}"
            )
        flat = lists.flatten().to_numpy(zero_copy_only=False)
        vectors = flat.reshape(len(lists), -1) if len(lists) else np.zeros((0, 0))
        return cls(check_ids(table[id_column], f"column {id_column!r}"), vectors)

    @classmethod
    def write(
        cls,
        path,
        ids,
        vectors,
        dtype="float16",
        text_hashes=None,
        encoder: str | None = None,
        revision: str | None = None,
        pooling: str | None = None,
        template: str | None = None,
        mask=None,
    ) -> "VectorStore":
        """Write a store, replacing the one at ``path``, and open it.

        Args:
            path: the folder; it must not exist, be empty, or be a store.
            ids: ``[n]`` distinct strings or integers.
            vectors: ``[n, dims]`` finite numbers.
            dtype: stored type; int8 keeps a scale a row (error at most 1/254 of its largest value).
            text_hashes: ``[n]`` hex digests of the encoded texts (see `text_hash`).
            encoder, revision, pooling, template: how the texts became vectors.
            mask: ``[n]`` bool, False where an item has no vector; the store has no row for it.

        Raises:
            InputError: whatever is wrong with the ids, the vectors, or the folder.
        """
        local_path(path, "vector store")
        dtype = check_dtype(dtype)
        hashes = check_text_hashes(text_hashes, len(ids))
        if mask is not None and hashes is not None:
            hashes = [value for value, there in zip(hashes, mask, strict=True) if there]
        known, vectors = _present(ids, vectors, mask)
        check_range(vectors, dtype, known, "vectors")
        refuse_foreign(path)
        with new_folder(path) as folder:
            write_store(
                folder,
                StoreContent(known, vectors, text_hashes=hashes),
                dtype.name,
                encoder=encoder,
                revision=revision,
                pooling=pooling,
                template=template,
            )
        return cls.open(path)

    @classmethod
    def open(cls, path, verify: bool = True) -> "VectorStore":
        """Open a store's folder.

        Args:
            path: the folder.
            verify: compare the files' checksums with the manifest (reads every byte once).

        Raises:
            InputError: not a store, a missing file, or a manifest that disagrees with the files.
        """
        store = cls.__new__(cls)
        store._content = read_store(path, verify)
        store.path = Path(path)
        return store


def _present(ids, vectors, mask) -> tuple[pa.Array, np.ndarray]:
    """Checked ids and vectors of the rows that have a vector."""
    known = check_ids(ids, "ids")
    if isinstance(vectors, pd.DataFrame):
        _check_index(known, vectors.index)
    if mask is None:
        return known, check_vectors(vectors, "vectors", known)
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != (len(known),):
        raise InputError(
            f"mask: must be {len(known)} booleans, one an id. "
            f"Received: shape {mask.shape}, dtype {mask.dtype}"
        )
    if len(vectors) != len(known):
        check_vectors(vectors, "vectors", known)
    known = known.filter(pa.array(mask))
    return known, check_vectors(np.asanyarray(vectors)[mask], "vectors", known)


def _check_index(known: pa.Array, index: pd.Index) -> None:
    """Refuses a frame whose index says another order than the ids."""
    if is_counted(index):
        return
    if not all(isinstance(value, str) for value in index):
        raise InputError(
            "vectors: the frame's index is neither 0, 1, ... nor ids, so the order of its rows is "
            "not known; set_index to the item ids, or give .to_numpy() if the rows are in the "
            f"order of the ids. Received: {index[:3].tolist()}"
        )
    if index.tolist() != known.to_pylist():
        raise InputError(
            "vectors: the frame's index has other ids, or another order, than the ids; give "
            f"frame.loc[ids]. Received: index {index[:3].tolist()}, ids {known[:3].to_pylist()}"
        )


def _read_columns(path, columns: list[str]) -> pa.Table:
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
        f"vectors: no column {absent[0]!r} in {name!r}; name one that is there. "
        f"Received: {data.schema.names}"
    )


def _examples(ids: pa.Array) -> str:
    return ", ".join(repr(value) for value in ids[:3].to_pylist())
