"""A tokenizer inside a TensorFlow graph."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.embeddings.tokenizer import IDEOGRAPHS, LIMIT, Tokenizer


class GraphTokenizer(tf.Module):
    """Gives the words that a `Tokenizer` gives, and of each text at most the first ones.

    Bytes that are not UTF-8 end a word.

    Args:
      tokenizer: the tokenizer.
      most: most words of a text.
    """

    def __init__(self, tokenizer: Tokenizer, most: int):
        super().__init__(name="tokenizer")
        self.table = tf.Variable(tokenizer.table, trainable=False, name="characters")
        self._most, self._fold = most, tokenizer.fold

    def words(self, texts) -> tf.RaggedTensor:
        """Returns the words `[B, (words)]` of texts `[B]`."""
        codes = tf.strings.unicode_decode(texts, "UTF-8")
        flat = codes.flat_values
        found = tf.gather(self.table.read_value(), tf.where(flat < LIMIT, flat, 0))
        found = tf.where(flat[:, None] < LIMIT, found, self._replaced(flat))
        there = tf.where(found > 0)
        owners = tf.gather(codes.value_rowids(), there[:, 0])
        replaced = tf.RaggedTensor.from_value_rowids(
            tf.gather_nd(found, there), owners, codes.nrows(), validate=False
        )
        return tf.strings.split(tf.strings.unicode_encode(replaced, "UTF-8"))[:, : self._most]

    def _replaced(self, codes):
        """Replacements `[P, WIDTH]` of code points `[P]` from `LIMIT` on."""
        letter = (codes >= IDEOGRAPHS.start) & (codes < IDEOGRAPHS.stop)
        space, none = tf.fill(tf.shape(codes), ord(" ")), tf.zeros_like(codes)
        parts = (space, codes, space) if self._fold else (codes, none, none)
        return tf.where(letter[:, None], tf.stack(parts, 1), tf.stack([space, none, none], 1))


def graph_trigrams(words) -> tuple[tf.Tensor, tf.Tensor]:
    """The distinct trigrams `[R]` of words `[U]` as `trigrams` gives them, and whose each is `[R]`.

    Example:
      >>> [found.numpy().tolist() for found in graph_trigrams(tf.constant(["aaaa"]))]
      [[b' aa', b'aaa', b'aa '], [0, 0, 0]]
    """
    letters = tf.strings.unicode_split(words, "UTF-8")
    found = tf.strings.ngrams(letters, 3, separator="", pad_values=(" ", " "), padding_width=1)
    parts, owners = found.flat_values, found.value_rowids()
    distinct = tf.unique(tf.strings.join([tf.strings.as_string(owners), parts], " ")).idx
    first = tf.math.unsorted_segment_min(
        tf.range(tf.size(distinct)), distinct, tf.reduce_max(tf.concat([distinct, [-1]], 0)) + 1
    )
    return tf.gather(parts, first), tf.gather(owners, first)
