"""Hashes of a store's files and of the encoded texts."""

import hashlib
from typing import BinaryIO


def text_hash(text: str) -> str:
    """Hash of a text, as stores keep it: the first 32 hex digits of the SHA-256 of its UTF-8.

    Example:
        >>> text_hash("red mug")[:8]
        '028a54da'
    """
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def file_hash(path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class HashingWriter:
    """Hashes all bytes that it writes to ``file``; without a file it only hashes."""

    def __init__(self, file: BinaryIO | None = None):
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data) -> None:
        self._digest.update(data)
        if self._file is not None:
            self._file.write(data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
