"""BM25: a lexical index of items' texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse

from tfrec_fusion.embeddings.tokenizer import Tokenizer, trigrams
from tfrec_fusion.errors import InputError

MOST_WORDS = 64
"""Further words of a query are ignored."""


class BM25:
    """Scores items by the words that their texts share with a query.

        score(q, i) = sum over w in q of idf_w f_wi (k1 + 1) / (f_wi + k1 (1 - b + b len_i / mean))
        idf_w = log(1 + (N - n_w + .5) / (n_w + .5))

    with f_wi the occurrences of word w in the text of item i, len_i the words of that text and n_w
    the items whose texts have w. A word that occurs twice in the query counts twice.

    A word that no text has is replaced by the known words that are most similar to it, weighted by
    their similarity: Dice's coefficient of the sets of character trigrams, of the word with a space
    before and after it. So "mugg" finds "mug", and "lantern" finds "lanterns" where no text has
    "lantern". If none is similar enough, the word is ignored.

    Args:
      k1: how soon further occurrences of a word cease to count.
      b: how much long texts are discounted, from 0 to 1.
      least_similarity: similarity from which on a word may replace an unknown one; more than 1
        replaces none.

    Attributes:
      terms: `[V]` strings, the words of the texts in alphabetical order.
      weights: sparse `[V, N]` float32, what each word adds to each item's score.
      trigrams: `[G]` strings, the character trigrams of the words.
      words_of_trigrams: sparse `[G, V]`, 1 where the word has the trigram.

    Raises:
      InputError: an argument out of range, or texts without any word.

    Example:
      >>> index = BM25().fit(["red mug", "blue mug", "red lantern"])
      >>> index.scores(["a red mugg"]).argmax()
      np.int64(0)

    Reference: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009;
    the idf is Lucene's, which is never negative.
    """

    def __init__(self, k1: float = 1.2, b: float = 0.75, least_similarity: float = 0.5):
        if not k1 >= 0:
            raise InputError(f"BM25: k1 must be at least 0. Received: {k1!r}")
        if not 0 <= b <= 1:
            raise InputError(f"BM25: b must be from 0 to 1. Received: {b!r}")
        if not least_similarity > 0:
            raise InputError(
                f"BM25: least_similarity must be above 0. Received: {least_similarity!r}"
            )
        self.k1, self.b, self.least_similarity = k1, b, least_similarity
        self.tokenizer = Tokenizer()

    def fit(self, texts: Sequence[str]) -> BM25:
        """Indexes the texts of the N items, "" for an item without one; returns the index."""
        found = [self.tokenizer.words(text) for text in texts]
        lengths = np.array([len(words) for words in found])
        if not lengths.any():
            raise InputError(f"BM25: none of the {len(found)} texts has a word")
        self.terms = np.array(sorted({word for words in found for word in words}), object)
        self._row = {word: row for row, word in enumerate(self.terms)}
        rows = np.array([self._row[word] for words in found for word in words], np.int64)
        owners = np.repeat(np.arange(len(found)), lengths)
        shape = (len(self.terms), len(found))
        counts = scipy.sparse.csr_array((np.ones(len(rows)), (rows, owners)), shape)
        counts.sum_duplicates()
        holding = np.diff(counts.indptr)
        idf = np.log1p((len(found) - holding + 0.5) / (holding + 0.5))
        norm = self.k1 * (1 - self.b + self.b * lengths / lengths.mean())
        values = counts.data * (self.k1 + 1) / (counts.data + norm[counts.indices])
        values *= np.repeat(idf, holding)
        self.weights = scipy.sparse.csr_array(
            (values.astype(np.float32), counts.indices, counts.indptr), shape
        )
        self._index_trigrams()
        return self

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """The scores `[B, N]` float32 of all items, 0 for items without any word of the query."""
        weights = np.zeros((len(queries), len(self.terms)), np.float32)
        for place, query in enumerate(queries):
            for word in self.tokenizer.words(query)[:MOST_WORDS]:
                for row, weight in self.matches(word):
                    weights[place, row] += weight
        return np.asarray((scipy.sparse.csr_array(weights) @ self.weights).todense(), np.float32)

    def matches(self, word: str) -> list[tuple[int, float]]:
        """Rows of the known words that stand for a word, with their weights; [] for none."""
        if word in self._row:
            return [(self._row[word], 1.0)]
        own = trigrams(word)
        known = [self._trigram[one] for one in own if one in self._trigram]
        common = self.words_of_trigrams[known].sum(0) if known else np.zeros(len(self.terms))
        similar = 2 * np.float32(common) / (len(own) + self.trigram_counts)
        best = float(similar.max())
        if best < self.least_similarity:
            return []
        return [(int(row), float(similar[row])) for row in np.flatnonzero(similar >= best - 1e-6)]

    def _index_trigrams(self) -> None:
        found = [trigrams(word) for word in self.terms]
        self.trigrams = np.array(sorted({one for own in found for one in own}), object)
        self._trigram = {one: row for row, one in enumerate(self.trigrams)}
        self.trigram_counts = np.array([len(own) for own in found], np.float32)
        rows = np.array([self._trigram[one] for own in found for one in own])
        words = np.repeat(np.arange(len(found)), self.trigram_counts.astype(int))
        ones = np.ones(len(rows), np.float32)
        shape = (len(self.trigrams), len(self.terms))
        self.words_of_trigrams = scipy.sparse.csr_array((ones, (rows, words)), shape)
