"""A lexical index inside a TensorFlow graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Vocabulary
from tfrec_fusion.models.serving.score_serving import ScoreColumns
from tfrec_fusion.models.serving.sparse_rows import SparseRows, entries
from tfrec_fusion.retrieval import exact_top_k
from tfrec_fusion.retrieval.bm25 import BM25, MOST_WORDS
from tfrec_fusion.retrieval.graph_tokenizer import GraphTokenizer, graph_trigrams
from tfrec_fusion.retrieval.row_table import RowTable


class LexicalIndex(tf.Module):
    """Scores N items by texts as a `BM25` does, from sparse lists of each word's items.

    Args:
      index: the fitted index.
      folder: where the files of its words and trigrams are written, which an export copies.
      precision: precision of the weights, see `SparseRows`; "int8" is float16 here, as one scale
        would have to do for all items of a word.
    """

    def __init__(self, index: BM25, folder: Path, precision: str = "float32"):
        super().__init__(name="lexical_index")
        self.count = index.weights.shape[1]
        self.weights = SparseRows(index.weights, "float16" if precision == "int8" else precision)
        self.tokenizer = GraphTokenizer(index.tokenizer, MOST_WORDS)
        words, trigrams = folder / "search_words.txt", folder / "search_trigrams.txt"
        Vocabulary(index.terms).save(words)
        Vocabulary(index.trigrams).save(trigrams)
        self.words, self.trigrams = RowTable(words), RowTable(trigrams)
        matrix, least = index.words_of_trigrams, index.least_similarity
        self.similar = tf.Variable(matrix.indices.astype(np.int32), False, name="trigram_words")
        self.splits = tf.Variable(matrix.indptr.astype(np.int64), False, name="trigram_splits")
        self.lengths = tf.Variable(index.trigram_counts, False, name="word_trigrams")
        self._least, self._terms = least, len(index.terms)

    def queries(self, texts) -> tf.Tensor:
        """Returns the scores `[B, N]` float32 of texts `[B]`, -inf for items without their words.

        They are queries for `scores_of` and `best`.
        """
        batch = tf.shape(texts)[0]
        words = self.tokenizer.words(texts)
        owners, rows = tf.cast(words.value_rowids(), tf.int32), self.words.lookup(words.flat_values)
        known, unknown = tf.where(rows >= 0)[:, 0], tf.where(rows < 0)[:, 0]
        stand_in, place, weights = self._replaced(tf.gather(words.flat_values, unknown))
        scores = self.weights.sums(
            tf.concat([tf.gather(rows, known), stand_in], 0),
            tf.concat([tf.gather(owners, known), tf.gather(owners, tf.gather(unknown, place))], 0),
            [batch, self.count],
            tf.concat([tf.ones(tf.shape(known)), weights], 0),
        )
        return tf.where(scores > 0, scores, -np.inf)

    def scores_of(self, queries, rows) -> tf.Tensor:
        """Returns scores `[B, M]` of rows `[B, M]`."""
        return tf.gather(queries, rows, batch_dims=1)

    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        """Returns the result of `exact_top_k` over all items."""
        columns = ScoreColumns(self.count)
        return exact_top_k(queries, columns, k, masked_pairs, bias, allowed, restricted)

    def _replaced(self, words) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Rows `[R]` of the words that replace unknown ones `[U]`, which one each, and weights."""
        count = tf.size(words)
        trigrams, owners = graph_trigrams(words)
        lengths = tf.math.unsorted_segment_sum(tf.ones(tf.shape(owners)), owners, count)
        rows = self.trigrams.lookup(trigrams)
        known = tf.where(rows >= 0)[:, 0]
        places, own = entries(self.splits, tf.gather(rows, known))
        similar = tf.cast(tf.gather(self.similar, places), tf.int64)
        codes = tf.gather(tf.gather(owners, known), own) * self._terms + similar
        codes, _, common = tf.unique_with_counts(codes)
        place, rows = tf.cast(codes // self._terms, tf.int32), codes % self._terms
        both = tf.gather(lengths, place) + tf.gather(self.lengths, rows)
        similarity = 2 * tf.cast(common, tf.float32) / both
        best = tf.gather(tf.math.unsorted_segment_max(similarity, place, count), place)
        kept = tf.where((similarity >= self._least) & (similarity >= best - 1e-6))[:, 0]
        return (
            tf.cast(tf.gather(rows, kept), tf.int32),
            tf.gather(place, kept),
            tf.gather(similarity, kept),
        )
