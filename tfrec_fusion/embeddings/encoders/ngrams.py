"""An encoder of words and their spelling: TF-IDF of n-grams, reduced by a random projection."""

import hashlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
import scipy.sparse

from tfrec_fusion.config import read_json
from tfrec_fusion.embeddings.encoders.base import Batch, unit_rows
from tfrec_fusion.embeddings.encoders.fitted import FittedEncoder
from tfrec_fusion.embeddings.term_table import TRIGRAM, TermTable
from tfrec_fusion.embeddings.tokenizer import Tokenizer, trigrams
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import current_folder, new_folder

_CONFIG, _IDF = "ngrams.json", "idf.npy"


class NGramEncoder(FittedEncoder):
    """TF-IDF of words, word pairs and character trigrams, reduced by a random projection.

    A term that is in df of the n fitted texts has the vector

        (1 + log((1 + n) / (1 + df))) r,    r in {-1, 1}^dims from a hash of the term,

    and a text the sum over its terms, each times 1 + log of its occurrences, scaled to length 1. A
    random projection keeps cosines of TF-IDF up to about 1 / sqrt(dims) (Johnson and
    Lindenstrauss), where a truncated SVD keeps topics: so it finds the one item that a query names,
    also by a misspelt word or another ending, and it is no help for what items have in common. Use
    it for the vectors of a search (docs/search.md), and `LexicalEncoder` for recommendations.

    Words are those of `Tokenizer`. Terms that are in no fitted text are ignored. As the signs
    depend on the term alone, vectors of an encoder that is fitted again change only as its weights
    do.

    Reference: Achlioptas, Database-friendly random projections, 2003.

    Example:
      >>> spelling = NGramEncoder(dims=64).fit(["red mug", "blue mug", "red lantern"])
      >>> items = spelling.encode(["red mug", "blue mug", "red lantern"])
      >>> (items @ spelling.encode(["latern"])[0]).argmax()
      np.int64(2)
    """

    name, config_file = "ngrams", _CONFIG

    def __init__(
        self,
        dims: int = 256,
        max_terms: int = 100_000,
        min_texts: int = 1,
        batch_texts: int = 2048,
    ):
        """
        Args:
          dims: length of the vectors.
          max_terms: most terms, those in most texts.
          min_texts: least number of texts that must contain a term.
          batch_texts: texts encoded and written to disk at once.

        Raises:
          InputError: a number that is not a positive integer.
        """
        super().__init__(batch_texts, dims=dims, max_terms=max_terms, min_texts=min_texts)
        self._tokenizer = Tokenizer()
        self._vectors: np.ndarray | None = None

    @property
    def is_fitted(self) -> bool:
        return self._vectors is not None

    def fit(self, texts: Sequence[str]) -> Self:
        """Fits terms and weights on the texts; returns the encoder itself.

        Raises:
          InputError: no term is in `min_texts` of the texts.
        """
        holding: Counter[str] = Counter()
        for text in texts:
            holding.update(set(self._terms_of(text)))
        least = self._options["min_texts"]
        known = sorted((-count, term) for term, count in holding.items() if count >= least)
        if not known:
            raise InputError(
                f"texts: no word is in {least} of the {len(texts)} texts; lower min_texts or give "
                "more texts"
            )
        counts = {term: -count for count, term in known[: self._options["max_terms"]]}
        terms = sorted(counts)
        shares = (1 + len(texts)) / (1 + np.array([counts[term] for term in terms]))
        return self._set(terms, (1 + np.log(shares)).astype(np.float32))

    def save(self, path: str | os.PathLike) -> None:
        """Writes the fit as a folder, atomically."""
        self.check_fitted()
        with new_folder(path) as folder:
            config = {**self._options, "terms": self._terms}
            text = json.dumps(config, ensure_ascii=False)
            (folder / _CONFIG).write_text(text, encoding="utf-8")
            np.save(folder / _IDF, self._idf)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        folder = current_folder(path)
        try:
            config = read_json(folder / _CONFIG, "encoder")
            terms = config.pop("terms")
            encoder, idf = cls(**config), np.load(folder / _IDF)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"encoder: {os.fspath(path)} holds no encoder of n-grams "
                f"({type(error).__name__}: {error})"
            ) from None
        if idf.shape != (len(terms),):
            raise InputError(
                f"encoder: the files in {os.fspath(path)} do not belong together. Received: "
                f"{len(terms)} terms, idf {idf.shape}"
            )
        return encoder._set(terms, idf)

    def term_table(self) -> TermTable:
        self.check_fitted()
        vectors = np.asarray(self._vectors)
        return TermTable(self._terms, vectors, pairs=True, damped=True, fold=True, trigrams=True)

    def stream(self, texts: Sequence[str]) -> Iterator[Batch]:
        self.check_fitted()
        for start in range(0, len(texts), self._batch):
            part = texts[start : start + self._batch]
            rows = np.arange(start, start + len(part))
            yield rows, unit_rows(self._counts(part) @ self._vectors)

    def _counts(self, texts: Sequence[str]) -> scipy.sparse.csr_array:
        """Damped counts `[n, terms]` of the terms of texts."""
        found = [Counter(self._terms_of(text)) for text in texts]
        cells = [
            (place, self._row[term], 1 + np.log(count))
            for place, counts in enumerate(found)
            for term, count in counts.items()
            if term in self._row
        ]
        owners, rows, values = zip(*cells, strict=True) if cells else ((), (), ())
        shape = (len(texts), len(self._terms))
        return scipy.sparse.csr_array((np.asarray(values, np.float32), (owners, rows)), shape)

    def _terms_of(self, text: str) -> list[str]:
        words = self._tokenizer.words(text)
        pairs = [" ".join(pair) for pair in itertools.pairwise(words)]
        return [*words, *pairs, *(TRIGRAM + part for word in words for part in trigrams(word))]

    def _set(self, terms: list[str], idf: np.ndarray) -> Self:
        self._terms, self._idf = terms, idf.astype(np.float32)
        self._row = {term: row for row, term in enumerate(terms)}
        self._vectors = _signs(terms, self._options["dims"]) * self._idf[:, None]
        parts = json.dumps([self._options, terms]).encode(), self._idf.tobytes()
        self.revision = hashlib.sha256(b"".join(parts)).hexdigest()[:32]
        return self


def _signs(terms: Sequence[str], dims: int) -> np.ndarray:
    """`[n, dims]` float32 of -1 and 1 from a hash of each term."""
    size = -(-dims // 8)
    hashed = b"".join(hashlib.shake_128(term.encode()).digest(size) for term in terms)
    bits = np.unpackbits(np.frombuffer(hashed, np.uint8).reshape(len(terms), size), 1)
    return 2 * bits[:, :dims].astype(np.float32) - 1
