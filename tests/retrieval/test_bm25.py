"""BM25 by hand, and the same inside a graph."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.serving.lexical_index import LexicalIndex
from tfrec_fusion.retrieval.bm25 import BM25, trigrams

TEXTS = ["red mug", "red red lamp, blue", "", "Blaue Tasse", "lanterns"]


def test_scores_by_hand():
    index = BM25(k1=1.0, b=0.5).fit(TEXTS)
    assert index.terms.tolist() == ["blaue", "blue", "lamp", "lanterns", "mug", "red", "tasse"]
    # 9 words in 5 texts: the mean is 1.8. "red" is in 2 texts: idf log(1 + 3.5 / 2.5).
    idf = math.log(1 + 3.5 / 2.5)
    # Once in 2 words, and twice in 4: f (1 + 1) / (f + .5 + .5 len / 1.8).
    expected = [idf * 2 / (1 + 0.5 + 0.5 * 2 / 1.8), idf * 4 / (2 + 0.5 + 0.5 * 4 / 1.8), 0, 0, 0]
    np.testing.assert_allclose(index.scores(["RED"])[0], expected, rtol=1e-6)
    # A word that occurs twice counts twice, and words add up.
    np.testing.assert_allclose(index.scores(["red red"])[0], np.multiply(2, expected), rtol=1e-6)
    both = index.scores(["red mug", "mug"])
    np.testing.assert_allclose(both[0], expected + both[1], rtol=1e-6)


def test_unknown_words_are_replaced_by_the_most_similar_ones():
    index = BM25().fit(TEXTS)
    # " la lan ant nte ter ern rn " and " la lan ant nte ter ern rns ns ": 6 of 7 and 8 in common.
    assert index.matches("lantern") == [(3, pytest.approx(12 / 15))]
    # " mu mug ugg gg " and " mu mug ug ": 2 of 4 and 3.
    assert index.matches("mugg") == [(4, pytest.approx(4 / 7))]
    assert index.matches("mug") == [(4, 1.0)]
    # Known to no item, nor similar to a word that is.
    assert index.matches("zebra") == index.matches("x") == []
    assert not index.scores(["zebra", ""]).any()
    np.testing.assert_allclose(index.scores(["mugg"]), index.scores(["mug"]) * 4 / 7, rtol=1e-6)


def test_all_words_of_equal_similarity_replace_it():
    index = BM25().fit(["cat", "cut"])
    # " ca cat at ", " cu cut ut " and " ct ct ": with none of the trigrams in common.
    assert index.matches("ct") == []
    index = BM25(least_similarity=0.3).fit(["catx", "caty", "dog"])
    # " ca cat at " and " ca cat atx tx ": 2 of 3 and 4.
    assert index.matches("cat") == [(0, pytest.approx(4 / 7)), (1, pytest.approx(4 / 7))]
    assert BM25(least_similarity=1.5).fit(["catx"]).matches("cat") == []


def test_accents_and_other_languages():
    index = BM25().fit(["Crème brûlée", "Straße", "紅茶マグ", "кружка"])
    for query, item in (
        ("creme brulee", 0),
        ("STRASSE", 1),
        ("茶", 2),
        ("КРУЖКА", 3),
        ("кружки", 3),
    ):
        assert index.scores([query])[0].nonzero()[0].tolist() == [item]
    assert trigrams("茶") == [" 茶 "]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k1": -1}, "k1 must be at least 0"),
        ({"b": 1.5}, "b must be from 0 to 1"),
        ({"least_similarity": 0}, "least_similarity must be above 0"),
    ],
)
def test_wrong_options(options, says):
    with pytest.raises(InputError, match=f"BM25: {says}"):
        BM25(**options)


def test_texts_without_a_word():
    with pytest.raises(InputError, match="none of the 2 texts has a word"):
        BM25().fit(["", "!"])


# ---- inside a graph


def in_graph(index, folder, precision="float32"):
    """A function from texts to scores `[B, N]`, -inf for no match."""
    lexical = LexicalIndex(index, folder, precision)
    function = tf.function(lexical.queries, [tf.TensorSpec([None], tf.string)])
    function.lexical = lexical
    return lambda texts: function(tf.constant(texts, tf.string)).numpy()


QUERIES = ["red mug", "", "mugg lantern zebra", "zebra", "red red", "tasse BLAUE", "mug " * 70]


def _check(scores, expected, **tolerance):
    assert np.isneginf(scores[expected == 0]).all()
    np.testing.assert_allclose(scores[expected > 0], expected[expected > 0], **tolerance)


@pytest.mark.parametrize(
    ("precision", "rtol"), [("float32", 1e-6), ("float16", 2e-3), ("int8", 0.02)]
)
def test_a_graph_gives_the_same_scores(tmp_path, precision, rtol):
    index = BM25().fit(TEXTS)
    scores = in_graph(index, tmp_path, precision)
    _check(scores(QUERIES), index.scores(QUERIES), rtol=rtol)
    assert scores([]).shape == (0, 5)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    rng = np.random.default_rng(0)
    letters = np.array([*"abcé"])
    vocabulary = ["".join(rng.choice(letters, rng.integers(1, 7))) for _ in range(60)]
    texts = [" ".join(rng.choice(vocabulary, rng.integers(0, 6))) for _ in range(40)]
    index = BM25(least_similarity=0.4).fit(texts)
    return index, in_graph(index, tmp_path_factory.mktemp("words"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abcé ", max_size=24), min_size=1, max_size=5))
def test_a_graph_gives_the_same_scores_of_any_query(words, queries):
    index, scores = words
    _check(scores(queries), index.scores(queries), rtol=1e-4)
