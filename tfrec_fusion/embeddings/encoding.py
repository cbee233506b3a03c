"""Encodes texts into a vector store, incrementally and resumably."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tfrec_fusion.disk import disk_errors
from tfrec_fusion.embeddings.arrays import check_dtype, check_range, check_vectors
from tfrec_fusion.embeddings.encoders.base import Encoder
from tfrec_fusion.embeddings.encoders.making import as_encoder
from tfrec_fusion.embeddings.hashing import text_hash
from tfrec_fusion.embeddings.ids import check_ids, rows_of
from tfrec_fusion.embeddings.journal import Journal
from tfrec_fusion.embeddings.store import VectorStore
from tfrec_fusion.embeddings.store_files import StoreContent, refuse_foreign, write_store
from tfrec_fusion.embeddings.templates import TextTemplate
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import current_folder, new_folder
from tfrec_fusion.paths import local_path
from tfrec_fusion.progress import WorkProgress
from tfrec_fusion.texts import check_unicode


@dataclass(frozen=True)
class Encoded:
    """The result of `encode`.

    Attributes:
        store: the opened store.
        encoded: number of distinct texts that were encoded.
        reused: number of rows that reuse a stored vector or that of an equal text.
        without_text: number of ids without a text, which get no row.
        seconds: duration of the whole call.
        texts_per_second: encoded texts per second of encoding; 0 if none was encoded.
    """

    store: VectorStore
    encoded: int
    reused: int
    without_text: int
    seconds: float
    texts_per_second: float

    def to_dict(self) -> dict:
        """Counts and times, JSON-ready."""
        return {
            "rows": len(self.store),
            "dims": self.store.dims,
            "encoded": self.encoded,
            "reused": self.reused,
            "without_text": self.without_text,
            "seconds": self.seconds,
            "texts_per_second": self.texts_per_second,
        }


def encode(
    items: pd.DataFrame | Sequence[str],
    encoder,
    store: str | os.PathLike,
    *,
    ids: Sequence[str] | None = None,
    template: str | TextTemplate | None = None,
    id_column: str = "item_id",
    dtype: str | None = None,
    progress=None,
) -> Encoded:
    """Encodes texts into a vector store, or updates the store with new texts.

    Texts are identified by their hash: stored texts are not encoded again, and equal texts are
    encoded once. Every batch is written to disk before the next one starts, so after a kill the
    same call resumes with the missing batches. Stored ids that are not in ``items`` keep their
    rows; an id without a text has no row, so its mask is False.

    Args:
        items: a frame with ``id_column`` and the fields of the template, or ``[n]`` texts, with
            None for items without one.
        encoder: an `Encoder`, an object with `name` and `encode(list[str])`, a function
            ``list[str] -> [n, dims]``, or a name for `make_encoder`.
        store: folder of a new or existing store.
        ids: ``[n]`` distinct ids of the texts, if ``items`` is not a frame.
        template: template of the text of a frame's row. None is the column ``text``, or else those
            of ``"{title}. {name}. {description}"`` that exist.
        id_column: column of the frame that holds the ids.
        dtype: stored type of a new store: float16 (None), float32 or int8; an existing store keeps
            its type.
        progress: a rich console, None for standard error, False for no output.

    Raises:
        InputError: invalid ids, no text at all, a store of another encoder, vectors of another
            length, NaN.
        OSError: the disk is full; the texts encoded so far are kept.

    Example:
        >>> import tempfile
        >>> def length(texts):
        ...     return [[len(text), 1.0] for text in texts]
        >>> folder = tempfile.mkdtemp() + "/vectors"
        >>> encode(["red mug", "lamp"], length, folder, ids=["a", "b"], progress=False).encoded
        2
        >>> encode(["red mug", "lamps"], length, folder, ids=["a", "b"], progress=False).encoded
        1
    """
    started = time.perf_counter()
    store = local_path(store, "store")
    encoder = as_encoder(encoder)
    known, texts, written = _texts(items, ids, template, id_column)
    there = np.array([bool(text.strip()) for text in texts], bool)
    if not there.any():
        raise InputError(f"texts: none of the {len(texts)} rows has a text. Received: only blanks")
    refuse_foreign(store)
    wanted = known.filter(pa.array(there))
    kept_texts = [text for text in texts if text.strip()]
    encoder = encoder.prepared(kept_texts, store)
    hashes = [text_hash(text) for text in kept_texts]
    then = "the encoded texts are kept, and the same call resumes once there is room"
    with disk_errors(store, then), Journal(store, encoder.name, encoder.fingerprint) as journal:
        previous = _open_previous(store, encoder)
        stored = _stored_dtype(dtype, previous)
        have = {*journal.hashes}
        if previous is not None:
            have |= {*(previous.text_hashes or ())}
        pairs = zip(hashes, kept_texts, strict=True)
        new = {value: text for value, text in pairs if value not in have}
        resumed = time.perf_counter()
        _run(encoder, new, journal, previous, stored, progress)
        encoding = time.perf_counter() - resumed
        content = _content(wanted, hashes, known, previous, journal)
        if _differs(content, previous):
            origin = {"encoder": encoder.name, "encoder_id": encoder.fingerprint}
            origin |= {"revision": encoder.revision, "pooling": encoder.pooling}
            with new_folder(store) as folder:
                write_store(folder, content, stored.name, template=written, **origin)
        journal.discard()
    return Encoded(
        VectorStore.open(store, verify=False),
        len(new),
        len(hashes) - len(new),
        int((~there).sum()),
        time.perf_counter() - started,
        len(new) / encoding if new else 0.0,
    )


def _texts(items, ids, template, id_column) -> tuple[pa.Array, list[str], str | None]:
    """Checked ids, one text per id, and the template's string."""
    if not isinstance(items, pd.DataFrame):
        if ids is None or template is not None:
            raise InputError(
                "ids: a list of texts needs ids= with one id per text, and no template. "
                f"Received: ids {None if ids is None else 'given'}, template {template!r}"
            )
        texts = ["" if _is_missing(text) else text for text in items]
        odd = next((row for row, text in enumerate(texts) if not isinstance(text, str)), None)
        if odd is not None or len(texts) != len(ids):
            raise InputError(
                f"texts: must be strings, one per id. Received: {len(texts)} texts, {len(ids)} ids"
                + (f", at row {odd} {texts[odd]!r}" if odd is not None else "")
            )
        check_unicode(texts, "texts: the list")
        return check_ids(ids, "ids"), texts, None
    if ids is not None or id_column not in items:
        raise InputError(
            "id_column: must be a column of the frame, and ids must not be given for a frame. "
            f"Received: {id_column!r}, columns {list(items.columns)}"
        )
    if not isinstance(template, TextTemplate):
        template = TextTemplate(_default_template(items) if template is None else template)
    known = check_ids(items[id_column].tolist(), f"column {id_column!r}")
    texts = template.texts(items).tolist()
    check_unicode(texts, f"texts: {template.template!r}")
    return known, texts, template.template


def _is_missing(text) -> bool:
    return text is None or text is pd.NA or (isinstance(text, float) and text != text)


def _default_template(items: pd.DataFrame) -> str:
    if "text" in items:
        return "{text}"
    fields = [name for name in ("title", "name", "description") if name in items]
    if not fields:
        raise InputError(
            "template: the items have neither a text nor a title; give the fields to join, as "
            f"'{{name}}. {{details}}'. Received: columns {list(items.columns)}"
        )
    return ". ".join(f"{{{name}}}" for name in fields)


def _open_previous(store, encoder: Encoder) -> VectorStore | None:
    folder = current_folder(store)
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    previous = VectorStore.open(store)
    manifest = previous.manifest
    if manifest is None:
        return None
    if manifest.encoder_id != encoder.fingerprint or previous.text_hashes is None:
        raise InputError(
            f"encoder: the store {os.fspath(store)!r} was made by "
            f"{manifest.encoder or 'an unknown encoder'} ({_short(manifest.encoder_id)}), and a "
            "store holds vectors of one encoder only; choose another store. "
            f"Received: {encoder.name} ({_short(encoder.fingerprint)})"
        )
    return previous


def _stored_dtype(dtype: str | None, previous: VectorStore | None) -> np.dtype:
    if previous is not None and dtype not in (None, previous.dtype):
        raise InputError(
            f"dtype: the store holds {previous.dtype}; omit dtype or choose another store. "
            f"Received: {dtype!r}"
        )
    return check_dtype(dtype or (previous.dtype if previous is not None else "float16"))


def _short(fingerprint: str | None) -> str:
    return "no fingerprint" if fingerprint is None else fingerprint[:8]


def _run(encoder, new: dict[str, str], journal: Journal, previous, dtype, progress) -> None:
    """Encode the new texts, by hash, into the journal."""
    hashes, texts = np.array(list(new), object), list(new.values())
    lengths = np.array([len(text) for text in texts], np.int64)
    dims = journal.dims if previous is None else previous.manifest.dims
    # Long texts take longer and come first, so the time left follows the characters.
    characters = max(int(lengths.sum()), 1)
    with WorkProgress("encoded", len(texts), "texts", console=progress, every=10.0) as bar:
        if not texts:
            return
        estimate = encoder.estimate(texts)
        if estimate and bar.console is not None:
            bar.console.print(estimate, markup=False, soft_wrap=True)
        done = read = 0
        for rows, vectors in encoder.stream(texts):
            batch = hashes[rows].tolist()
            _check_batch(encoder, vectors, batch, dims, dtype)
            dims = vectors.shape[1]
            journal.append(batch, vectors)
            read += int(lengths[rows].sum())
            bar.advance(len(rows), share=read / characters)
            done += len(rows)
    if done != len(texts):
        raise InputError(
            f"encoder {encoder.name}: must return one vector per text. "
            f"Received: {done} vectors for {len(texts)} texts"
        )


def _check_batch(encoder, vectors, batch: list[str], dims: int | None, dtype: np.dtype) -> None:
    field = f"vectors of {encoder.name}"
    check_vectors(vectors, field)
    if len(vectors) != len(batch) or (dims is not None and vectors.shape[1] != dims):
        raise InputError(
            f"{field}: must be one per text, each of {dims or 'one or more'} dims. "
            f"Received: shape {vectors.shape} for {len(batch)} texts"
        )
    check_range(vectors, dtype, pa.array(batch), field)


def _content(wanted: pa.Array, hashes, known: pa.Array, previous, journal) -> StoreContent:
    """The store to write: the wanted ids, then ids of the old store that are not in the call."""
    place = {value: row for row, value in enumerate(journal.hashes)}
    if previous is None:
        rows = np.array([place[value] for value in hashes], np.int64)
        return StoreContent(wanted, _gathered(None, journal.vectors(), ~rows), text_hashes=hashes)
    old = previous._content
    kept = np.flatnonzero(rows_of(old.ids, known) < 0)
    ids = pa.concat_arrays([wanted, old.ids.take(kept)])
    hashes = [*hashes, *(old.text_hashes[row] for row in kept)]
    # Rows of the journal are -1, -2, ...; rows of the old store are 0, 1, ...
    place = {value: ~row for value, row in place.items()}
    place |= {value: row for row, value in enumerate(old.text_hashes)}
    rows = np.array([place[value] for value in hashes], np.int64)
    return StoreContent(
        ids, _gathered(old, journal.vectors(), rows), text_hashes=hashes, steps=old.steps
    )


def _differs(content: StoreContent, previous: VectorStore | None) -> bool:
    if previous is None:
        return True
    same_ids = content.ids.equals(previous._content.ids)
    return not (same_ids and content.text_hashes == previous.text_hashes)


def _gathered(old: StoreContent | None, new: np.ndarray, rows: np.ndarray) -> Any:
    """A `_Gathered` typed as an array: writing a store only slices it."""
    return _Gathered(old, new, rows)


class _Gathered:
    """Rows of an old store and of a journal, read in slices like one array.

    Args:
        old: content of the old store, if any.
        new: vectors of the journal.
        rows: ``[n]``: 0, 1, ... are rows of the old store; -1, -2, ... are rows of the journal.
    """

    def __init__(self, old: StoreContent | None, new: np.ndarray, rows: np.ndarray):
        self._old, self._new, self._rows = old, new, rows
        self.shape = (len(rows), (new if old is None else old.vectors).shape[1])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, part: slice) -> np.ndarray:
        rows = self._rows[part]
        out = np.empty((len(rows), self.shape[1]), np.float32)
        is_old = rows >= 0
        if self._old is not None:
            out[is_old] = self._old.raw(rows[is_old])
        if not is_old.all():
            out[~is_old] = self._new[~rows[~is_old]]
        return out
