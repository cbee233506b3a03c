"""The base class of the encoders that are fitted on texts."""

import abc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from tfrec_fusion.embeddings.encoders.base import Encoder
from tfrec_fusion.embeddings.term_table import TermTable
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import current_folder


class FittedEncoder(Encoder):
    """Base class of encoders of terms, which learn from texts what the terms are and weigh.

    `encode` fits it on the texts of a new store and saves the fit beside the store, in the folder
    `<store>.encoder`; the same fit encodes later texts. To fit again, choose another store.

    Args:
      batch_texts: texts encoded and written to disk at once.
      options: positive integers that the fit depends on; `seed` may be 0.

    Attributes:
      config_file: name of the file by which a saved fit is known.

    Raises:
      InputError: a number that is no such integer.
    """

    config_file: ClassVar[str]

    def __init__(self, batch_texts: int, **options: int):
        for field, value in {**options, "batch_texts": batch_texts}.items():
            least = 0 if field == "seed" else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(
                    f"{field}: must be an integer from {least} up. Received: {value!r}"
                )
        self._options, self._batch = options, batch_texts

    @property
    @abc.abstractmethod
    def is_fitted(self) -> bool:
        """Whether it can encode."""

    @abc.abstractmethod
    def fit(self, texts: Sequence[str]) -> Self:
        """Fits it on texts; returns the encoder itself."""

    @abc.abstractmethod
    def save(self, path: str | os.PathLike) -> None:
        """Writes the fit as a folder, atomically."""

    @classmethod
    @abc.abstractmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Reads a folder written by `save`.

        Raises:
          InputError: no such folder, or files that do not belong together.
        """

    @abc.abstractmethod
    def term_table(self) -> TermTable:
        """The encoder as a table of its terms, for exports that encode queries."""

    @classmethod
    def is_saved(cls, path: str | os.PathLike) -> bool:
        """Whether the folder was written by `save`."""
        return (current_folder(path) / cls.config_file).is_file()

    def prepared(self, texts: Sequence[str], store: str | os.PathLike) -> Encoder:
        if self.is_fitted:
            return self
        path = Path(f"{os.fspath(store).rstrip(os.sep)}.encoder")
        if not self.is_saved(path):
            self.fit(texts).save(path)
            return self
        saved = self.load(path)
        for field, value in self._options.items():
            if saved._options[field] != value:
                raise InputError(
                    f"{field}: the encoder in {path} was fitted with {saved._options[field]}; "
                    f"choose another store. Received: {value}"
                )
        return saved

    def check_fitted(self) -> None:
        """Raises InputError if it is not fitted."""
        if not self.is_fitted:
            raise InputError(
                f"encoder {self.name}: is not fitted; call fit(texts), or let encode() do it"
            )

    def identity(self) -> dict:
        self.check_fitted()
        return {"kind": self.name, "fit": self.revision}
