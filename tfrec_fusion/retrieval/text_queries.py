"""Encodes queries inside a TensorFlow graph."""

from __future__ import annotations

from pathlib import Path

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Vocabulary
from tfrec_fusion.embeddings.term_table import TRIGRAM, TermTable
from tfrec_fusion.embeddings.tokenizer import Tokenizer
from tfrec_fusion.retrieval.bm25 import MOST_WORDS
from tfrec_fusion.retrieval.graph_tokenizer import GraphTokenizer, graph_trigrams
from tfrec_fusion.retrieval.row_table import RowTable
from tfrec_fusion.retrieval.stored_items import StoredItems


class TextQueries(tf.Module):
    """Vectors of texts by an encoder's `TermTable`, as the encoder gives them.

    Words that the table lacks are ignored, as are those after the first 64.

    Args:
      table: the encoder's terms and their vectors.
      folder: where the file of the terms is written, which an export copies.
      precision: precision of the vectors, see `StoredItems`.
    """

    def __init__(self, table: TermTable, folder: Path, precision: str = "float32"):
        super().__init__(name="text_queries")
        path = folder / "query_terms.txt"
        Vocabulary(table.terms).save(path)
        self.terms, self.vectors = RowTable(path), StoredItems(table.vectors, precision)
        self.tokenizer = GraphTokenizer(Tokenizer(table.fold), MOST_WORDS)
        self._pairs, self._trigrams, self._damped = table.pairs, table.trigrams, table.damped

    @property
    def dims(self) -> int:
        """Length of one vector."""
        return self.vectors.shape[1]

    def __call__(self, texts) -> tf.Tensor:
        """Returns vectors `[B, dims]` float32 of texts `[B]`, of length 1, or 0 without a term."""
        batch = tf.shape(texts)[0]
        words = self.tokenizer.words(texts)
        terms, owners = words.flat_values, words.value_rowids()
        if self._pairs:
            pairs = tf.strings.ngrams(words, 2, separator=" ")
            terms = tf.concat([terms, pairs.flat_values], 0)
            owners = tf.concat([owners, pairs.value_rowids()], 0)
        if self._trigrams:
            parts, of = graph_trigrams(words.flat_values)
            terms = tf.concat([terms, tf.strings.join([TRIGRAM, parts])], 0)
            owners = tf.concat([owners, tf.gather(words.value_rowids(), of)], 0)
        rows = tf.cast(self.terms.lookup(terms), tf.int64)
        known = tf.where(rows >= 0)[:, 0]
        count = self.vectors.count
        codes = tf.gather(owners, known) * count + tf.gather(rows, known)
        codes, _, times = tf.unique_with_counts(codes)
        weights = tf.cast(times, tf.float32)
        if self._damped:
            weights = 1 + tf.math.log(weights)
        vectors = self.vectors.gather(codes % count) * weights[:, None]
        sums = tf.math.unsorted_segment_sum(vectors, codes // count, batch)
        return tf.math.l2_normalize(sums, 1, epsilon=1e-24)
