"""Saves the progress of an encoding run beside the store, until the store is written."""

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from tfrec_fusion.config import read_json
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import alone, new_file

_HASH_BYTES = 16
_BUSY = "store: another process is encoding into it; wait for it to end"


class Journal:
    """Vectors keyed by the hash of their text, appended and flushed to disk batch by batch.

    It is a hidden folder beside the store. The vectors of a batch are on disk before its hashes are
    written, and opening truncates a batch that a kill left incomplete, so every hash that can be
    read has its vector.

    Attributes:
        hashes: `text_hash` of each row, in order of writing.
        dims: length of the vectors; None before the first batch.

    Example:
        >>> with Journal("vectors", "minilm", "0" * 32) as journal:
        ...     journal.append(["00" * 16], np.ones((1, 3), np.float32))
        ...     len(journal.hashes)
        1
    """

    def __init__(self, store: str | os.PathLike, encoder: str, encoder_id: str):
        """
        Args:
            store: the folder of the store.
            encoder: name of the encoder, for messages.
            encoder_id: its fingerprint; opening a journal of another encoder raises an error.
        """
        path = Path(os.path.realpath(store))
        self.folder = path.with_name(f".{path.name}.encoding")
        self._origin = {"encoder": encoder, "encoder_id": encoder_id}
        self.hashes: list[str] = []
        self.dims: int | None = None

    def __enter__(self) -> "Journal":
        """Opens the journal.

        Raises:
            InputError: another process has it open, or it is of another encoder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(alone(self.folder / "lock", _BUSY))
            self._read_origin()
            self._vector_file, self._hash_file = (
                stack.enter_context(open(self.folder / name, "ab"))
                for name in ("vectors.bin", "hashes.bin")
            )
            self._recover()
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_) -> None:
        if not self.hashes:
            self.discard()
        # If the disk is full, the batch stays incomplete; opening truncates it.
        with contextlib.suppress(OSError):
            self._open.close()

    def append(self, hashes: Sequence[str], vectors: np.ndarray) -> None:
        """Writes a batch to disk: ``[n]`` hashes and ``[n, dims]`` float32 vectors."""
        if self.dims is None:
            self.dims = int(vectors.shape[1])
            self._write_origin()
        for file, content in (
            (self._vector_file, np.ascontiguousarray(vectors, np.float32).tobytes()),
            (self._hash_file, b"".join(bytes.fromhex(value) for value in hashes)),
        ):
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self.hashes.extend(hashes)

    def vectors(self) -> np.ndarray:
        """All vectors, ``[rows, dims]`` float32, memory-mapped; ``[0, 0]`` before the first."""
        if not self.hashes or self.dims is None:
            return np.zeros((0, 0), np.float32)
        shape = (len(self.hashes), self.dims)
        return np.memmap(self.folder / "vectors.bin", np.float32, "r", shape=shape)

    def discard(self) -> None:
        """Removes the journal, once the store holds its vectors."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read_origin(self) -> None:
        file = self.folder / "origin.json"
        if not file.is_file():
            return
        origin = read_json(file, "encoder")
        if origin["encoder_id"] != self._origin["encoder_id"]:
            raise InputError(
                f"encoder: an unfinished run of {origin['encoder']} is in {str(self.folder)!r}, "
                "and a store holds vectors of one encoder only; finish that run, remove the "
                f"folder, or choose another store. Received: {self._origin['encoder']}"
            )
        self.dims = origin["dims"]

    def _write_origin(self) -> None:
        with new_file(self.folder / "origin.json") as file:
            file.write(json.dumps({**self._origin, "dims": self.dims}).encode())

    def _recover(self) -> None:
        rows = os.path.getsize(self.folder / "hashes.bin") // _HASH_BYTES
        row_bytes = 4 * (self.dims or 0)
        if row_bytes:
            rows = min(rows, os.path.getsize(self.folder / "vectors.bin") // row_bytes)
        else:
            rows = 0
        self._vector_file.truncate(rows * row_bytes)
        self._hash_file.truncate(rows * _HASH_BYTES)
        content = (self.folder / "hashes.bin").read_bytes().hex()
        width = 2 * _HASH_BYTES
        self.hashes = [content[start : start + width] for start in range(0, len(content), width)]
