import json

import numpy as np
import pytest

from tfrec_fusion.embeddings import PCA, Truncation, VectorStore, Whitening
from tfrec_fusion.errors import InputError

IDS = ["a", "b", "c", "d", "e"]
# The training items a to d vary along the first axis with variance (9+9)/4 = 4.5 and along the
# second with (1+1)/4 = 0.5; the third says nothing. e is no training item.
VECTORS = np.array([[3, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0], [100, 100, 100]], np.float32)
TRAIN = ["a", "b", "c", "d", "without a vector"]


@pytest.fixture
def path(tmp_path):
    VectorStore.write(tmp_path / "store", IDS, VECTORS, dtype="float32", encoder="by hand")
    return tmp_path / "store"


def test_truncation_keeps_the_first_dims_at_length_1():
    # (3, 4) has length 5.
    out = Truncation(2).transform([[3.0, 4.0, 7.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(out, [[0.6, 0.8], [0, 0]], rtol=1e-6)


def test_pca_keeps_lengths_and_orders_by_variance():
    out = PCA(2).fit(VECTORS[:4]).transform(VECTORS[:4])
    np.testing.assert_allclose(out, [[3, 0], [-3, 0], [0, 1], [0, -1]], atol=1e-12)


def test_steps_are_fitted_on_the_training_rows_alone(path):
    store = VectorStore.open(path).add_step(Whitening(2, epsilon=0), fit_on=TRAIN)
    # 3 / sqrt(4.5) = sqrt(2), and 1 / sqrt(.5) = sqrt(2).
    root = np.sqrt(2)
    expected = [[root, 0], [-root, 0], [0, root], [0, -root]]
    np.testing.assert_allclose(store.values([0, 1, 2, 3]), expected, atol=1e-6)
    record = json.loads((path / "manifest.json").read_text())["steps"][0]
    assert (record["kind"], record["fitted_rows"]) == ("whitening", 4)
    assert record["config"] == {"dim": 2, "epsilon": 0.0, "unit": False}
    assert len(record["fitted_ids"]) == 32


def test_steps_apply_in_order_and_the_raw_vectors_stay(path):
    raw = (path / "vectors.npy").read_bytes()
    VectorStore.open(path).add_step(PCA(2), fit_on=TRAIN)
    store = VectorStore.open(path).add_step(Truncation(1))
    # The projections on the first direction, 3, -3, 0, 0 and 100, at length 1.
    np.testing.assert_allclose(store.values()[:, 0], [1, -1, 0, 0, 1], atol=1e-6)
    assert (store.dims, [step.kind for step in store.steps]) == (1, ["pca", "truncation"])
    assert (path / "vectors.npy").read_bytes() == raw
    assert store.manifest.encoder == "by hand"
    aligned = store.align(["nobody", "b"])
    np.testing.assert_allclose(aligned.values, [[0], [-1]], atol=1e-6)
    assert aligned.mask.tolist() == [False, True]


def test_a_step_changes_the_fingerprint_and_equal_steps_do_not(path):
    plain = VectorStore.open(path)
    before = plain.fingerprint
    once = plain.add_step(Truncation(2)).fingerprint
    assert once != before
    in_memory = VectorStore(IDS, VECTORS)
    stepped = [in_memory.add_step(Whitening(2), fit_on=TRAIN).fingerprint for _ in range(2)]
    assert stepped[0] == stepped[1] != in_memory.fingerprint
    assert in_memory.dims == 3


def test_a_damaged_step_is_refused(path):
    VectorStore.open(path).add_step(PCA(2), fit_on=TRAIN)
    file = path / "step_0.npz"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError):
        VectorStore.open(path)
    file.unlink()
    with pytest.raises(InputError, match=r"'step_0\.npz' is missing from the folder"):
        VectorStore.open(path)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Truncation(4), "dim: cannot keep more dimensions than the vectors have"),
        (PCA(2), "fit_on: .*is fitted on training rows"),
        ("pca", "step: must be a Truncation, PCA, Whitening.*str"),
    ],
)
def test_wrong_steps(path, step, message):
    with pytest.raises(InputError, match=message):
        VectorStore.open(path).add_step(step)


def test_dims_must_be_positive():
    for dim in (0, True, 1.5):
        with pytest.raises(InputError, match="dim: must be a positive integer"):
            Truncation(dim)


def test_items_without_a_vector_are_left_out(tmp_path):
    pictures = np.array([[1, 2], [np.nan, np.nan], [5, 6]], np.float32)
    mask = ~np.isnan(pictures).any(axis=1)
    hashes = ["0" * 32, "1" * 32, "2" * 32]
    written = VectorStore.write(
        tmp_path / "images", ["a", "b", "c"], pictures, text_hashes=hashes, mask=mask
    )
    assert written.text_hashes == [hashes[0], hashes[2]]
    for store in (written, VectorStore(["a", "b", "c"], pictures, mask=mask)):
        aligned = store.align(["c", "b", "a"])
        np.testing.assert_array_equal(aligned.values, [[5, 6], [0, 0], [1, 2]])
        assert aligned.mask.tolist() == [True, False, True]
    with pytest.raises(InputError, match="mask: must be 3 booleans"):
        VectorStore(["a", "b", "c"], pictures, mask=[1, 0, 1])
    with pytest.raises(InputError, match="one row per id"):
        VectorStore(["a", "b", "c"], pictures[:2], mask=mask)
