import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tfrec_fusion.cli._app import app
from tfrec_fusion.embeddings import LexicalEncoder, VectorStore, encode, make_encoder
from tfrec_fusion.errors import InputError

TEXTS = ["red mug", "red lamp", "blue mug", "blue lamp", "red mug, 2 of them"]


def test_the_vectors_are_weighted_words_in_all_directions():
    """At full rank the SVD is a rotation, so dot products are those of TF-IDF itself."""
    encoder = LexicalEncoder(dims=50).fit(["a b", "a c", "b c"])
    # Each word is in 2 of 3 texts; no pair is in 2, so pairs drop out. All weights are alike, and
    # two texts that share one of two words have cosine 1/2.
    vectors = encoder.encode(["a b", "a c", "a", "a a"])
    assert vectors.shape == (4, 3)
    # 2e-3: directions are kept as float16.
    np.testing.assert_allclose(vectors[0] @ vectors[1], 0.5, atol=2e-3)
    # cos(a, ab) = 1 / sqrt 2; how often a word comes changes nothing where it is alone.
    np.testing.assert_allclose(vectors[2] @ vectors[0], 2**-0.5, atol=2e-3)
    np.testing.assert_allclose(vectors[2], vectors[3], atol=1e-6)


def test_rarer_words_weigh_more():
    encoder = LexicalEncoder().fit(["the fox", "the fox", "the owl", "the owl", "the ant", "the"])
    # idf: the ln(7/7) + 1 = 1, fox and owl ln(7/3) + 1 = 1.847, pairs as their rarer word.
    the, fox, both = encoder.encode(["the", "fox", "the fox"])
    # both = (1, 1.847, 1.847) / 2.797 for the, fox, "the fox"
    np.testing.assert_allclose(both @ fox, 1.847 / 2.797, atol=3e-3)
    np.testing.assert_allclose(both @ the, 1 / 2.797, atol=3e-3)


def test_unknown_words_give_zeros_and_none_gives_nothing():
    encoder = LexicalEncoder(dims=2).fit(TEXTS)
    assert not encoder.encode(["Zebra!", ""]).any()
    assert encoder.encode([]).shape == (0, 0)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    encoder = LexicalEncoder(dims=3, batch_texts=2).fit([*TEXTS, "käse 商品", "käse 商品"])
    encoder.save(tmp_path / "words")
    loaded = make_encoder(str(tmp_path / "words"))
    assert loaded.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(loaded.encode(TEXTS), encoder.encode(TEXTS))
    assert loaded.fingerprint != LexicalEncoder(dims=3).fit(TEXTS).fingerprint
    with pytest.raises(InputError, match="holds no lexical encoder"):
        LexicalEncoder.load(tmp_path)
    np.save(tmp_path / "words" / "idf.npy", np.ones(2, np.float32))
    with pytest.raises(InputError, match="do not belong together"):
        LexicalEncoder.load(tmp_path / "words")


def test_a_store_keeps_its_fit(tmp_path):
    ids = [str(i) for i in range(len(TEXTS))]
    first = encode(TEXTS, LexicalEncoder(dims=3), tmp_path / "s", ids=ids, progress=False)
    assert (first.encoded, first.store.manifest.encoder) == (5, "lexical")
    texts = [*TEXTS, "blue mug of another kind"]
    again = encode(texts, LexicalEncoder(dims=3), tmp_path / "s", ids=[*ids, "9"], progress=False)
    # The new text's words were not all in the fit, and the old vectors stand.
    assert again.encoded == 1
    old = [store.align(ids).values for store in (first.store, again.store)]
    np.testing.assert_array_equal(*old)
    with pytest.raises(InputError, match=r"dims: the encoder in .*s\.encoder was fitted with 3"):
        encode(texts, LexicalEncoder(dims=2), tmp_path / "s", ids=[*ids, "9"], progress=False)


def test_by_the_command_line(tmp_path):
    frame = pd.DataFrame({"item_id": list("abcde"), "title": TEXTS})
    frame.to_parquet(tmp_path / "items.parquet")
    arguments = ["embed", "--items", str(tmp_path / "items.parquet"), "--encoder", "lexical"]
    arguments += ["--dims", "2", "--out", str(tmp_path / "words")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert VectorStore.open(tmp_path / "words").dims == 2


def test_texts_of_one_word_are_refused():
    with pytest.raises(InputError, match=r"Received: only \['thing'\]"):
        LexicalEncoder().fit(["thing 1", "thing 2", "thing 3"])


@pytest.mark.parametrize("field", ["dims", "max_terms", "min_texts", "batch_texts"])
def test_a_bad_number_is_refused(field):
    with pytest.raises(InputError, match=f"{field}: must be an integer from 1 up. Received: 0"):
        LexicalEncoder(**{field: 0})


def test_texts_without_a_common_word_and_no_fit_are_refused():
    with pytest.raises(InputError, match="no word is in 2 of the 2 texts"):
        LexicalEncoder().fit(["mug", "lamp"])
    with pytest.raises(InputError, match="is not fitted"):
        LexicalEncoder().encode(["mug"])
