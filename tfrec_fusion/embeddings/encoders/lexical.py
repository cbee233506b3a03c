"""A lexical encoder: TF-IDF of words, reduced by a truncated SVD."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from tfrec_fusion.config import read_json
from tfrec_fusion.embeddings.encoders.base import Batch, unit_rows
from tfrec_fusion.embeddings.encoders.fitted import FittedEncoder
from tfrec_fusion.embeddings.term_table import TermTable
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import current_folder, new_folder

_CONFIG, _IDF, _DIRECTIONS = "lexical.json", "idf.npy", "directions.npy"


class LexicalEncoder(FittedEncoder):
    """TF-IDF of words and word pairs, reduced by a truncated SVD of the texts it was fitted on.

    (1 + log tf) (1 + log((1 + n) / (1 + df))) for each term, rows scaled to length 1, then a
    truncated SVD (latent semantic analysis, Deerwester et al. 1990) and again length 1. It
    separates what a language model blurs: the author, the brand, the number in a series. Use it in
    addition to a language model, or instead of it if texts are short and names matter. It ignores
    words that were not in the fitted texts, and knows no synonyms.

    Example:
      >>> words = LexicalEncoder(dims=2).fit(["red mug", "blue mug", "red lamp", "blue lamp"])
      >>> words.encode(["red mug"]).shape
      (1, 2)
    """

    name, config_file = "lexical", _CONFIG

    def __init__(
        self,
        dims: int = 1024,
        max_terms: int = 50_000,
        min_texts: int = 2,
        seed: int = 0,
        batch_texts: int = 2048,
    ):
        """
        Args:
          dims: length of the vectors; less if there are fewer texts or terms.
          max_terms: most terms (words and word pairs), by frequency.
          min_texts: least number of texts that must contain a term.
          seed: seed of the randomised SVD.
          batch_texts: texts encoded and written to disk at once.

        Raises:
          InputError: a number that is not a positive integer (`seed` may be 0).
        """
        options = {"dims": dims, "max_terms": max_terms, "min_texts": min_texts, "seed": seed}
        super().__init__(batch_texts, **options)
        self._vectorizer: Any = None
        self._directions: np.ndarray | None = None

    @property
    def is_fitted(self) -> bool:
        return self._directions is not None

    def fit(self, texts: Sequence[str]) -> Self:
        """Fits terms, weights and directions on the texts; returns the encoder itself.

        Raises:
          InputError: fewer than two terms are in `min_texts` of the texts.
        """
        from sklearn.decomposition import TruncatedSVD

        vectorizer = self._new_vectorizer()
        try:
            matrix = vectorizer.fit_transform(texts)
        except ValueError as error:
            raise InputError(
                f"texts: no word is in {self._options['min_texts']} of the {len(texts)} texts; "
                f"lower min_texts or give more texts ({' '.join(str(error).split())})"
            ) from None
        if matrix.shape[1] < 2:
            raise InputError(
                "texts: at least two words or pairs of words must each be in "
                f"{self._options['min_texts']} of the {len(texts)} texts; lower min_texts or give "
                f"more texts. Received: only {vectorizer.get_feature_names_out().tolist()}"
            )
        kept = min(self._options["dims"], *matrix.shape)
        svd = TruncatedSVD(kept, random_state=self._options["seed"]).fit(matrix)
        terms = vectorizer.get_feature_names_out().tolist()
        return self._set(terms, vectorizer.idf_, svd.components_.astype(np.float16))

    def save(self, path: str | os.PathLike) -> None:
        """Writes the fit as a folder, atomically."""
        directions = self._fitted()
        with new_folder(path) as folder:
            config = {**self._options, "terms": self._terms}
            text = json.dumps(config, ensure_ascii=False)
            (folder / _CONFIG).write_text(text, encoding="utf-8")
            np.save(folder / _IDF, self._idf)
            np.save(folder / _DIRECTIONS, directions)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Reads a folder written by `save`.

        Raises:
          InputError: no such folder, or files that do not belong together.
        """
        folder = current_folder(path)
        try:
            config = read_json(folder / _CONFIG, "encoder")
            terms = config.pop("terms")
            encoder, idf = cls(**config), np.load(folder / _IDF)
            directions = np.load(folder / _DIRECTIONS)
            fits = idf.shape == (len(terms),) and directions.shape[1:] == idf.shape
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"encoder: {os.fspath(path)} holds no lexical encoder "
                f"({type(error).__name__}: {error})"
            ) from None
        if not fits:
            raise InputError(
                f"encoder: the files in {os.fspath(path)} do not belong together. Received: "
                f"{len(terms)} terms, idf {idf.shape}, directions {directions.shape}"
            )
        return encoder._set(terms, idf, directions)

    def term_table(self) -> TermTable:
        """The encoder as a table of its terms, for exports that encode queries."""
        vectors = self._fitted().T.astype(np.float32) * self._idf[:, None]
        return TermTable(self._terms, vectors, pairs=True, damped=True, fold=False)

    def stream(self, texts: Sequence[str]) -> Iterator[Batch]:
        directions = self._fitted().T.astype(np.float32)
        for start in range(0, len(texts), self._batch):
            rows = np.arange(start, min(start + self._batch, len(texts)))
            yield (
                rows,
                unit_rows(self._vectorizer.transform(texts[start : rows[-1] + 1]) @ directions),
            )

    def _new_vectorizer(self, terms: list[str] | None = None):
        from sklearn.feature_extraction.text import TfidfVectorizer

        fitted: dict[str, Any] = (
            {"vocabulary": terms}
            if terms is not None
            else {
                "max_features": self._options["max_terms"],
                "min_df": self._options["min_texts"],
            }
        )
        return TfidfVectorizer(
            token_pattern=r"(?u)\b\w+\b",
            ngram_range=(1, 2),
            sublinear_tf=True,
            dtype=np.float32,
            **fitted,
        )

    def _set(self, terms: list[str], idf: np.ndarray, directions: np.ndarray) -> Self:
        self._terms, self._idf, self._directions = terms, idf.astype(np.float32), directions
        self._vectorizer = self._new_vectorizer(terms)
        self._vectorizer.idf_ = self._idf
        parts = (json.dumps([self._options, terms]).encode(), self._idf, directions)
        self.revision = hashlib.sha256(b"".join(bytes(part) for part in parts)).hexdigest()[:32]
        return self

    def _fitted(self) -> np.ndarray:
        """The directions."""
        self.check_fitted()
        return np.asarray(self._directions)
