import json

import numpy as np
import pytest

from tfrec_fusion.embeddings import LexicalEncoder, NGramEncoder, encode, make_encoder
from tfrec_fusion.errors import InputError

TITLES = ["red mug", "blue mug", "red lamp", "blue lantern", "Käse-Tasse 2", "children's mug"]


def test_the_cosines_are_those_of_tf_idf():
    """In expectation; so at many dimensions nearly."""
    encoder = NGramEncoder(dims=20_000).fit(["a b", "a c", "b c"])
    # Terms of "a b": a, b, "a b", #" a ", #" b ". Words and trigrams are in 2 of 3 texts, with the
    # weight 1 + ln(4/3) = 1.288, and pairs in one, 1 + ln(4/2) = 1.693. "a b" and "a c" share a
    # and #" a ": 2 * 1.288^2 / (4 * 1.288^2 + 1.693^2) = 3.317 / 9.500 = .349.
    ab, ac, a, aa, aab = encoder.encode(["a b", "a c", "A", "a a", "a a b"])
    np.testing.assert_allclose(ab @ ac, 0.349, atol=0.02)
    # cos(a, a b) = 2 * 1.288^2 / sqrt(2 * 1.288^2 * 9.500) = .591.
    np.testing.assert_allclose(a @ ab, 0.591, atol=0.02)
    np.testing.assert_allclose(a, aa, atol=1e-6)
    # "a a" is no term; a and its trigram count 1 + ln 2 = 1.693 times: 2 * 1.288^2 * 1.693 + 2 *
    # 1.288^2 + 1.693^2 = 11.801, over sqrt(2 (1.288 * 1.693)^2 + 2 * 1.288^2 + 1.693^2) = 3.972
    # and sqrt(9.500) = 3.082.
    np.testing.assert_allclose(aab @ ab, 11.801 / 3.972 / 3.082, atol=0.02)


def test_it_finds_items_by_misspelt_words_and_other_endings():
    encoder = NGramEncoder(dims=512).fit(TITLES)
    items = encoder.encode(TITLES)
    for query, item in (("latern", 3), ("childrens mugs", 5), ("kase tassen", 4), ("lampe", 2)):
        assert (items @ encoder.encode([query])[0]).argmax() == item


def test_a_term_has_the_same_signs_in_every_fit():
    one, other = NGramEncoder(dims=9).fit(["mug"]), NGramEncoder(dims=9).fit(["mug lamp", "x"])
    tables = one.term_table(), other.term_table()
    signs = [np.sign(table.vectors[table.terms.index("mug")]) for table in tables]
    np.testing.assert_array_equal(*signs)
    # A word of three letters is not the trigram of the same letters.
    table = tables[0]
    assert table.terms == ["# mu", "#mug", "#ug ", "mug"]
    assert (table.vectors[1] != table.vectors[3]).any()
    np.testing.assert_array_equal(np.abs(table.vectors), np.ones((4, 9), np.float32))


def test_terms_are_chosen_by_the_texts_that_hold_them():
    encoder = NGramEncoder(max_terms=2).fit(["a b", "a c"])
    assert encoder.term_table().terms == ["# a ", "a"]
    encoder = NGramEncoder(min_texts=2).fit(["a b", "a c", "b"])
    assert encoder.term_table().terms == ["# a ", "# b ", "a", "b"]
    with pytest.raises(InputError, match="no word is in 2 of the 2 texts"):
        NGramEncoder(min_texts=2).fit(["mug", "lit"])


def test_unknown_words_give_zeros_and_none_gives_nothing():
    encoder = NGramEncoder(dims=8).fit(["mug"])
    assert not encoder.encode(["Zebra!", ""]).any()
    assert encoder.encode([]).shape == (0, 0)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    encoder = NGramEncoder(dims=12, batch_texts=2).fit(TITLES)
    encoder.save(tmp_path / "spelling")
    loaded = make_encoder(str(tmp_path / "spelling"))
    assert loaded.fingerprint == encoder.fingerprint and isinstance(loaded, NGramEncoder)
    np.testing.assert_array_equal(loaded.encode(TITLES), encoder.encode(TITLES))
    assert loaded.fingerprint != NGramEncoder(dims=13).fit(TITLES).fingerprint
    with pytest.raises(InputError, match="holds no encoder of n-grams"):
        NGramEncoder.load(tmp_path)
    LexicalEncoder(dims=2).fit(["a b", "a b", "b a"] * 2).save(tmp_path / "words")
    with pytest.raises(InputError, match="holds no encoder of n-grams"):
        NGramEncoder.load(tmp_path / "words")
    np.save(tmp_path / "spelling" / "idf.npy", np.ones(2, np.float32))
    with pytest.raises(InputError, match=r"do not belong together. Received: .* terms, idf"):
        NGramEncoder.load(tmp_path / "spelling")


def test_a_store_keeps_its_fit(tmp_path):
    ids = [str(i) for i in range(len(TITLES))]
    encoder = make_encoder("ngrams", dims=5)
    first = encode(TITLES, encoder, tmp_path / "s", ids=ids, progress=False)
    assert (first.store.dims, first.store.manifest.encoder) == (5, "ngrams")
    terms = json.loads((tmp_path / "s.encoder" / "ngrams.json").read_text())["terms"]
    assert "red mug" in terms and "#lan" in terms
    with pytest.raises(InputError, match=r"dims: the encoder in .*s\.encoder was fitted with 5"):
        encode([*TITLES, "x"], NGramEncoder(dims=6), tmp_path / "s", ids=[*ids, "9"])


@pytest.mark.parametrize("field", ["dims", "max_terms", "min_texts", "batch_texts"])
def test_a_bad_number_is_refused(field):
    with pytest.raises(InputError, match=f"{field}: must be an integer from 1 up. Received: 0"):
        NGramEncoder(**{field: 0})


def test_without_a_fit_it_encodes_nothing():
    with pytest.raises(InputError, match="encoder ngrams: is not fitted"):
        NGramEncoder().encode(["mug"])
