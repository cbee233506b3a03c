import numpy as np
import pytest

from tfrec_fusion.embeddings import VectorStore, open_vectors
from tfrec_fusion.errors import InputError

IDS = ["a", "b", "c"]
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_every_kind_of_source_gives_the_same(tmp_path):
    store = VectorStore.write(tmp_path / "store", IDS, VECTORS)
    np.save(tmp_path / "v.npy", VECTORS)
    for source in (store, tmp_path / "store", str(tmp_path / "v.npy"), VECTORS, VECTORS.tolist()):
        for ids in (IDS, None):
            aligned = open_vectors(source, ids)
            np.testing.assert_array_equal(aligned.values, VECTORS)
            assert aligned.mask.tolist() == [True] * 3
            assert aligned.dims == 2
            assert len(aligned) == 3


def test_only_a_store_can_be_reordered(tmp_path):
    store = VectorStore.write(tmp_path / "store", IDS, VECTORS)
    aligned = open_vectors(store, ["c", "z"], dtype="float16")
    np.testing.assert_array_equal(aligned.values, [[4, 5], [0, 0]])
    assert aligned.values.dtype == np.float16
    with pytest.raises(InputError, match="Received: 3 rows and 2 ids"):
        open_vectors(VECTORS, ["c", "z"])


def test_bad_sources(tmp_path):
    with pytest.raises(InputError, match="is not a vector store"):
        open_vectors(tmp_path / "absent", IDS)
    with pytest.raises(InputError, match="no such file"):
        open_vectors(tmp_path / "absent.npy", IDS)
    with pytest.raises(InputError, match="already aligned"):
        open_vectors(open_vectors(VECTORS, IDS), IDS)
    with pytest.raises(InputError, match="2-D array"):
        open_vectors(np.float32(3), IDS)
    with pytest.raises(InputError, match="2-D array"):
        open_vectors(3.0)
