"""Encoders of texts inside a graph."""

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.embeddings import LexicalEncoder, NGramEncoder, StaticEncoder, TermTable
from tfrec_fusion.retrieval.text_queries import TextQueries

TEXTS = ["red mug", "Blue mug", "red  LAMP", "blue lamp, blue", "Käse mug 2", "Käse 2 lamp"]


def _vectors(table, folder, texts, precision="float32"):
    queries = TextQueries(table, folder, precision)
    function = tf.function(queries, [tf.TensorSpec([None], tf.string)])
    return function(tf.constant(texts, tf.string)).numpy()


def test_by_hand(tmp_path):
    table = TermTable(["a", "b", "a b"], np.float32([[3, 0], [0, 4], [5, 0]]), True, True, True)
    found = _vectors(table, tmp_path, ["B", "a a", "a b", "b a", "c", ""])
    # (3 + 5, 4) and (3, 4), scaled; "a a" has (1 + log 2) (3, 0); nothing is known of "c".
    expected = [[0, 1], [1, 0], np.array([8, 4]) / 80**0.5, [0.6, 0.8], [0, 0], [0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    plain = TermTable(["a", "b"], np.float32([[1, 0], [0, 1]]), False, False, True)
    # Without damping, "a" counts twice: (2, 1).
    found = _vectors(plain, tmp_path, ["a b a"])
    np.testing.assert_allclose(found, [np.array([2, 1]) / 5**0.5], atol=1e-6)
    assert _vectors(plain, tmp_path, []).shape == (0, 2)
    spelt = TermTable(["#ab ", "ab"], np.float32([[0, 2], [1, 0]]), False, False, True, True)
    # "ab" has both terms, "cab" the trigram, "abab" it once.
    (tmp_path / "spelt").mkdir()
    found = _vectors(spelt, tmp_path / "spelt", ["ab", "cab", "abab", "ab cab"])
    expected = [[0.2**0.5, 0.8**0.5], [0, 1], [0, 1], np.array([1, 4]) / 17**0.5]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("precision", "atol"), [("float32", 1e-5), ("int8", 0.02)])
def test_a_graph_encodes_as_the_lexical_encoder(tmp_path, precision, atol):
    encoder = LexicalEncoder(dims=4).fit(TEXTS)
    asked = [*TEXTS, "mug mug mug red", "käse", "zebra", "lamp zebra mug", "mug blue red"]
    found = _vectors(encoder.term_table(), tmp_path, asked, precision)
    np.testing.assert_allclose(found, encoder.encode(asked), atol=atol)


@pytest.mark.parametrize(("precision", "atol"), [("float32", 1e-5), ("int8", 1e-5)])
def test_a_graph_encodes_as_the_encoder_of_n_grams(tmp_path, precision, atol):
    """Also as integers, which hold a sign times one weight for each row exactly."""
    encoder = NGramEncoder(dims=12).fit(TEXTS)
    asked = [*TEXTS, "mug mug mug red", "kase", "zebra", "lanp zebra mugs", "mug's", "", "a"]
    found = _vectors(encoder.term_table(), tmp_path, asked, precision)
    np.testing.assert_allclose(found, encoder.encode(asked), atol=atol)


def test_a_graph_encodes_as_the_static_encoder(tmp_path):
    pytest.importorskip("wordllama", reason='needs ".[static]"')
    encoder = StaticEncoder()
    table = encoder.term_table(TEXTS)
    asked = ["red mug", "blue lamp blue", "käse 2"]
    found = _vectors(table, tmp_path, [*asked, "RED, mug!", "red zebra mug", "zebra"])
    expected = encoder.encode([*asked, "red mug", "red mug"])
    np.testing.assert_allclose(found, np.vstack([expected, np.zeros((1, 256))]), atol=1e-5)
