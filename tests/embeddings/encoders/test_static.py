import numpy as np
import pytest

from tfrec_fusion.embeddings import StaticEncoder, encode, make_encoder
from tfrec_fusion.errors import InputError

pytest.importorskip("wordllama", reason="the extra `static` is not installed")


@pytest.fixture(scope="module")
def encoder():
    return make_encoder("wordllama")


def test_vectors_are_the_normalised_means_of_token_vectors(encoder):
    texts = ["a red mug", "a lamp for the bedroom", "red mug, a"]
    vectors = encoder.encode(texts)
    assert vectors.shape == (3, 256)
    ids = encoder._model.tokenizer.encode(texts[1], add_special_tokens=False).ids
    mean = encoder._model.embedding[ids].mean(axis=0)
    np.testing.assert_allclose(vectors[1], mean / np.linalg.norm(mean), atol=1e-5)
    # Mugs are nearer to mugs than to lamps.
    assert vectors[0] @ vectors[2] > vectors[0] @ vectors[1]


def test_batches_do_not_matter_and_no_text_gives_nan(encoder):
    texts = ["a red mug", "🧀", "käse", "long " * 50, ""]
    vectors = encoder.encode(texts)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(StaticEncoder(batch_texts=2).encode(texts), vectors, atol=1e-6)


def test_into_a_store(encoder, tmp_path):
    result = encode(["a red mug"], encoder, tmp_path / "store", ids=["1"], progress=False)
    assert (result.store.manifest.encoder, result.store.dims) == ("wordllama", 256)
    assert result.store.manifest.revision == encoder.revision


def test_an_option_of_another_encoder_is_refused():
    with pytest.raises(InputError, match="pooling: the encoder 'wordllama' has no such option"):
        make_encoder("wordllama", pooling="cls")
