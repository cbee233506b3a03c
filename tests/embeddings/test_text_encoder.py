import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import sample_folder
from tfrec_fusion.embeddings import encode_texts
from tfrec_fusion.errors import InputError

pytest.importorskip("transformers", reason="the extra 'text' is not installed")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    package = pytest.importorskip("all_minilm_l6_v2", reason="no weights without a hub")
    return package.extract_model(tmp_path_factory.mktemp("weights"))


def test_the_sample_has_these_vectors(weights):
    texts = pd.read_parquet(sample_folder() / "items.parquet")["text"][:70].tolist()
    stored = np.load(sample_folder() / "minilm_384.npy")[:70].astype(np.float32)
    done = []
    vectors = encode_texts(texts, weights, batch_size=32, progress=done.append)
    # Stored in float16, and encoded in batches of other lengths.
    assert (vectors * stored).sum(1).min() > 0.999
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert done == [32, 32, 6]


def test_absent_weights_are_said_in_a_line(tmp_path):
    with pytest.raises(InputError, match="no weights could be loaded") as error:
        encode_texts(["a"], tmp_path)
    assert "\n" not in str(error.value)
