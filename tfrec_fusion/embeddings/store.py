"""Vector stores: precomputed vectors by id, on disk and memory-mapped, or in memory."""

import logging
import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset

from tfrec_fusion.embeddings.aligned import AlignedVectors
from tfrec_fusion.embeddings.arrays import (
    CHUNK_ROWS,
    check_dtype,
    check_range,
    check_vectors,
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
from tfrec_fusion.embeddings.vector_rows import present_rows, read_columns
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import new_folder
from tfrec_fusion.paths import local_path

_log = logging.getLogger(__name__)


class VectorStore:
    """One vector per id, on disk or in memory, in float16, float32 or int8.

    The folder holds ``vectors.npy`` ``[rows, dims]``, ``ids.txt`` (UTF-8, one id per line),
    ``manifest.json``, for int8 also ``scale.npy`` (``[rows]`` float32; vector = stored * scale)
    and, if known, ``text_hashes.txt`` (one `text_hash` per line). The vectors are memory-mapped:
    opening reads them once for their checksum and keeps none in memory. Writing is atomic: after a
    kill there is the complete old or the complete new store.

    Steps (`add_step`) are recorded in the manifest and applied when vectors are read; the folder
    keeps the raw vectors, so the same fitted steps apply to rows that are added later.

    Attributes:
        ids: NumPy object array ``[rows]`` of str.
        path: its folder; None for a store in memory.

    Example:
        >>> import numpy as np, tempfile
        >>> folder = tempfile.mkdtemp() + "/vectors"
        >>> store = VectorStore.write(folder, ["a", "b"], np.eye(2), encoder="by hand")
        >>> store.align(["b", "new"]).mask.tolist()
        [True, False]
    """

    def __init__(self, ids, vectors, mask=None):
        """A store in memory, from ids and ``[n, dims]`` numbers in the same order.

        Args:
            ids, vectors: as for `write`.
            mask: ``[n]`` bool, False for items without a vector (e.g. products without a picture):
                their rows of ``vectors`` are ignored, and the store has no rows for them.

        Raises:
            InputError: duplicate or empty ids, NaN or infinity, wrong rank or number of rows.
        """
        known, vectors = present_rows(ids, vectors, mask)
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
        """The manifest of the folder; None for a store in memory."""
        return self._content.manifest

    @property
    def text_hashes(self) -> list[str] | None:
        """The `text_hash` of each row's text, if the store has them."""
        return self._content.text_hashes

    @property
    def steps(self) -> tuple:
        """The fitted steps that are applied, in order, when vectors are read."""
        return tuple(recorded.step for recorded in self._content.steps)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of content and origin (64 hex digits); equal for equal stores."""
        manifest = self.manifest or write_store(None, self._content, self.dtype)
        return manifest.fingerprint

    def values(self, rows=None, dtype="float32") -> np.ndarray:
        """Vectors as floats.

        Args:
            rows: int positions ``[n]`` in the store, where -1 gives a zero row; None for all.
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

        All-zero vectors, which some encoders return for unknown texts, count as missing.

        Raises:
            InputError: none of the ids has a vector, or an id is null, empty or repeated.
        """
        wanted = check_ids(ids, "ids to align with")
        rows = rows_of(wanted, self._content.ids)
        if not (rows >= 0).any():
            raise InputError(
                f"vectors: none of the {len(wanted)} ids has a vector in {self!r}; the ids must "
                f"match exactly. Received: ids {_examples(wanted)}; vectors "
                f"{_examples(self._content.ids)}"
            )
        zero = self._is_zero(rows)
        if zero.sum() == (rows >= 0).sum():
            raise InputError(
                f"vectors: all {zero.sum()} vectors of the ids are all-zero, which counts as "
                f"missing; encode them again. Received: {self!r}"
            )
        if zero.any():
            _log.warning(
                "vectors: %d of %d ids have an all-zero vector, which counts as missing",
                zero.sum(),
                len(rows),
            )
            rows[zero] = -1
        return AlignedVectors(self.values(rows, dtype), rows >= 0)

    def _is_zero(self, rows: np.ndarray) -> np.ndarray:
        """``[n]`` bool: whether the row exists and is all-zero."""
        zero = np.zeros(len(rows), bool)
        for start in range(0, len(rows), CHUNK_ROWS):
            part = rows[start : start + CHUNK_ROWS]
            zero[start : start + CHUNK_ROWS] = (part >= 0) & ~self._content.raw(part).any(axis=1)
        return zero

    def add_step(self, step, fit_on=None) -> "VectorStore":
        """Appends a step; a store on disk is rewritten with it.

        Args:
            step: a `Truncation`, `PCA` or `Whitening`.
            fit_on: ids of the training items to fit a `PCA` or `Whitening` on, after the earlier
                steps; ids without a vector are skipped. None if the step is already fitted or needs
                no fitting.

        Returns:
            The store with the step.

        Raises:
            InputError: a step that is not fitted, without ``fit_on``, or a step for other dims.

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
                f"fit_on: a step of kind {step.kind!r} is fitted on training rows; give their ids, "
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
        """A store in memory over a memory-mapped ``.npy`` file ``[n, dims]`` with these row ids."""
        return cls(ids, load_npy(path))

    @classmethod
    def from_parquet(cls, path, column: str, id_column: str = "item_id") -> "VectorStore":
        """A store in memory from a Parquet file or folder with a list of numbers per row.

        Args:
            path: Parquet file, or folder of such files.
            column: column of lists, large lists or fixed-size lists of numbers.
            id_column: column of strings or integers.

        Raises:
            InputError: missing file or columns, null or ragged lists, or an error of the
                constructor.
        """
        table = read_columns(path, [id_column, column])
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
        """Writes a store, replacing one at ``path``, and opens it.

        Args:
            path: the folder; it must not exist, be empty, or be a store.
            ids: ``[n]`` distinct strings or integers.
            vectors: ``[n, dims]`` finite numbers.
            dtype: stored type; int8 has a scale per row (error at most 1/254 of its largest value).
            text_hashes: ``[n]`` hex digests of the encoded texts (see `text_hash`).
            encoder, revision, pooling, template: how the texts were encoded, for the manifest.
            mask: ``[n]`` bool, False for items without a vector, which get no row.

        Raises:
            InputError: invalid ids or vectors, or a folder that is not a store.
        """
        local_path(path, "vector store")
        dtype = check_dtype(dtype)
        hashes = check_text_hashes(text_hashes, len(ids))
        if mask is not None and hashes is not None:
            hashes = [value for value, there in zip(hashes, mask, strict=True) if there]
        known, vectors = present_rows(ids, vectors, mask)
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
        """Opens a store's folder.

        Args:
            path: the folder.
            verify: whether to compare the files' checksums with the manifest (reads every byte).

        Raises:
            InputError: not a store, a missing file, or files that do not match the manifest.
        """
        store = cls.__new__(cls)
        store._content = read_store(path, verify)
        store.path = Path(path)
        return store


def _examples(ids: pa.Array) -> str:
    return ", ".join(repr(value) for value in ids[:3].to_pylist())
