"""Texts split into words, by Python and in a graph."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from tfrec_fusion._compat import tf
from tfrec_fusion.embeddings import Tokenizer
from tfrec_fusion.embeddings.tokenizer import LIMIT
from tfrec_fusion.retrieval.graph_tokenizer import GraphTokenizer

FOLDED = {
    "": [],
    " - !": [],
    "Red MUG, 2-pack": ["red", "mug", "2", "pack"],
    "Mother's Mother’s": ["mothers", "mothers"],  # noqa: RUF001
    "Café CAFÉ cafe\u0301": ["cafe", "cafe", "cafe"],
    "Straße STRASSE Æther Łódź": ["strasse", "strasse", "aether", "lodz"],
    "ΟΔΟΣ οδός": ["οδοσ", "οδοσ"],
    "Ёлка ЙОД": ["елка", "иод"],
    "İstanbul ısı": ["istanbul", "isi"],  # noqa: RUF001
    "ＭＵＧ ２０ ① ½": ["mug", "20", "1", "1", "2"],  # noqa: RUF001
    "ﬁne soft\u00adware zero\u200bwidth": ["fine", "software", "zerowidth"],
    "紅茶マグ mug": ["紅", "茶", "マ", "ク", "mug"],
    "한국 머그": ["한국", "머그"],
    "हिन्दी किताब": ["हिन्दी", "किताब"],
    "snake_case": ["snake", "case"],
    "𠀀𠀁x": ["𠀀", "𠀁", "x"],
    "🧀cheese🧀": ["cheese"],
    "שָׁלוֹם": ["שלום"],
}


@pytest.mark.parametrize("text", FOLDED)
def test_words(text):
    assert Tokenizer().words(text) == FOLDED[text]


def test_without_folding_it_splits_as_the_lexical_encoder():
    analyse = CountVectorizer(token_pattern=r"(?u)\b\w+\b").build_analyzer()
    for text in FOLDED:
        if "Σ" not in text:  # Python writes ς at the end of a word, which needs the context
            assert Tokenizer(fold=False).words(text) == analyse(text)


@pytest.fixture(scope="module", params=[True, False])
def both(request):
    tokenizer = Tokenizer(request.param)
    in_graph = GraphTokenizer(tokenizer, most=5)
    return tokenizer, tf.function(in_graph.words, [tf.TensorSpec([None], tf.string)])


def _words(function, texts):
    return [
        [word.decode() for word in row] for row in function(tf.constant(texts, tf.string)).to_list()
    ]


def test_a_graph_gives_the_same_words(both):
    tokenizer, function = both
    assert _words(function, [*FOLDED]) == [tokenizer.words(text)[:5] for text in FOLDED]
    assert _words(function, []) == []
    assert _words(function, ["a b c d e f"]) == [[*"abcde"]]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=4))
def test_a_graph_gives_the_same_words_of_any_text(both, texts):
    tokenizer, function = both
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    assert _words(function, texts) == [tokenizer.words(text)[:5] for text in texts]


def test_bytes_that_are_no_text_end_a_word(both):
    _, function = both
    assert function(tf.constant([b"red\xffmug"])).to_list() == [[b"red", b"mug"]]


def test_every_character_of_the_table_is_replaced_alike():
    """So that the table is what `words` does, for all characters and not only those above."""
    for fold in (True, False):
        tokenizer = Tokenizer(fold)
        rows = np.random.default_rng(0).choice(LIMIT, 3000, replace=False)
        for code, row in zip(rows, tokenizer.table[rows], strict=True):
            assert "".join(map(chr, row[row > 0])).split() == tokenizer.words(chr(code))
