import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.embeddings import VectorStore, open_vectors
from tfrec_fusion.errors import InputError

IDS = ["a", "b", "c"]
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_every_kind_of_source_gives_the_same(tmp_path):
    store = VectorStore.write(tmp_path / "store", IDS, VECTORS)
    np.save(tmp_path / "v.npy", VECTORS)
    (tmp_path / "v.npy").rename(tmp_path / "v.NPY")
    np.savez(tmp_path / "v.npz", VECTORS)
    files = [tmp_path / "store", str(tmp_path / "v.NPY"), tmp_path / "v.npz"]
    frame = pd.DataFrame(VECTORS)
    mixed = pd.DataFrame({"x": [0, 2, 4], "y": pd.array([1, 3, 5], "Float32")})
    for source in (store, *files, VECTORS, VECTORS.tolist(), frame, mixed):
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


def test_a_frame_is_aligned_by_its_index():
    frame = pd.DataFrame(VECTORS, index=["c", "x", "a"])
    aligned = open_vectors(frame, IDS)
    np.testing.assert_array_equal(aligned.values, [[4, 5], [0, 0], [0, 1]])
    assert aligned.mask.tolist() == [True, False, True]
    with pytest.raises(InputError, match="index is neither"):
        open_vectors(pd.DataFrame(VECTORS).iloc[::-1], IDS)


class _Tensor:
    """As much of a PyTorch tensor of bfloat16 that needs a gradient as there has to be."""

    dtype = "torch.bfloat16"

    def __init__(self, values, ready=0):
        self.values, self.ready = values, ready

    def detach(self):
        return _Tensor(self.values, self.ready + 1)

    def cpu(self):
        return _Tensor(self.values, self.ready + 1)

    def float(self):
        return _Tensor(self.values, self.ready + 1)

    def numpy(self):
        if self.ready < 3:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.values

    def __array__(self, *args, **options):
        return self.numpy()


def test_tensors_are_arrays():
    for source in (_Tensor(VECTORS), [_Tensor(row) for row in VECTORS]):
        np.testing.assert_array_equal(open_vectors(source, IDS).values, VECTORS)


def test_tensors_of_the_libraries_are_arrays():
    torch = pytest.importorskip("torch")
    for tensor in (
        torch.tensor(VECTORS, dtype=torch.bfloat16),
        torch.tensor(VECTORS, requires_grad=True),
    ):
        np.testing.assert_array_equal(open_vectors(tensor, IDS).values, VECTORS)
    with pytest.raises(InputError, match="tensor is not readable"):
        open_vectors(torch.tensor(VECTORS).to_sparse(), IDS)


def test_a_tensor_of_tensorflow_is_an_array():
    from tfrec_fusion._compat import tf

    np.testing.assert_array_equal(open_vectors(tf.cast(VECTORS, tf.bfloat16), IDS).values, VECTORS)


def test_several_arrays_are_not_guessed_at(tmp_path):
    np.savez(tmp_path / "v.npz", text=VECTORS, image=VECTORS)
    with pytest.raises(InputError, match=r"one array.*\['text', 'image'\]"):
        open_vectors(tmp_path / "v.npz", IDS)
    (tmp_path / "v.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match=r"not a readable \.npy file"):
        open_vectors(tmp_path / "v.npz", IDS)
