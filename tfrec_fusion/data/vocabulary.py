"""Maps string ids to integer rows and back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import cached_property

import numpy as np
import pandas as pd

from tfrec_fusion.errors import InputError
from tfrec_fusion.files import new_file
from tfrec_fusion.paths import local_path
from tfrec_fusion.texts import check_unicode


class Vocabulary:
    """String ids in a fixed order; the row of an id is its 0-based position, -1 if unknown.

    Args:
      ids: `[n]` distinct, non-empty strings.

    Raises:
      InputError: an id is empty, repeated or no string, or holds a line break (the saved file has
        one id per line).

    Example:
      >>> Vocabulary(["a", "b"]).rows(["b", "z"]).tolist()
      [1, -1]
    """

    def __init__(self, ids: Iterable[str]):
        values = np.asarray(list(ids), dtype=object)
        not_text = [v for v in values if not isinstance(v, str)]
        if not_text:
            raise InputError(
                f"vocabulary: ids must be strings, but {len(not_text)} are not. "
                f"Received: {not_text[0]!r}"
            )
        index = pd.Index(values, dtype=object)
        if index.has_duplicates:
            repeated = index[index.duplicated()]
            raise InputError(
                f"vocabulary: {len(repeated)} repeated ids, first {repeated[:3].tolist()}"
            )
        if (values == "").any():
            raise InputError(f"vocabulary: empty id at row {int(np.argmax(values == ''))}")
        broken = [v for v in values if "\n" in v or "\r" in v]
        if broken:
            raise InputError(f"vocabulary: ids may not hold line breaks. Received: {broken[0]!r}")
        check_unicode(values, "vocabulary: the list of ids")
        self.ids = values
        self._index = index

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.fingerprint == other.fingerprint

    __hash__ = None  # type: ignore[assignment]

    def rows(self, ids) -> np.ndarray:
        """Returns the rows of `ids` (strings of any shape) as int32 of that shape; -1: unknown."""
        ids = np.asarray(ids, dtype=object)
        return self._index.get_indexer(ids.ravel()).astype(np.int32).reshape(ids.shape)

    def grow(self, ids: Iterable[str]) -> Vocabulary:
        """Returns a vocabulary with the new `ids` appended; known ids keep their rows."""
        new = pd.unique(np.asarray(list(ids), dtype=object))
        return Vocabulary(np.concatenate([self.ids, new[self._index.get_indexer(new) < 0]]))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the ids, joined by line breaks."""
        return hashlib.sha256("\n".join(self.ids).encode()).hexdigest()

    def save(self, path: str | os.PathLike) -> None:
        """Writes one id per line, in UTF-8, atomically."""
        with new_file(path) as file:
            file.writelines(f"{value}\n".encode() for value in self.ids)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Vocabulary:
        """Reads a UTF-8 file of one id per line, as `save` writes it.

        Raises:
          InputError: the file does not exist, is not UTF-8, or has empty or repeated lines.
        """
        path = local_path(path, "vocabulary")
        try:
            text = path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"vocabulary: {path} is not readable ({error})") from None
        return cls(text.removesuffix("\n").split("\n") if text else [])
