import sys

import numpy as np
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.retrieval import ApproximateTopK


@pytest.fixture(scope="module")
def vectors():
    pytest.importorskip("faiss", reason="faiss is not installed; it comes with the extra 'ann'")
    return np.random.default_rng(0).normal(size=(2000, 8)).astype(np.float32)


def test_all_lists_are_exact(vectors):
    index = ApproximateTopK(vectors, lists=20, probes=20)
    scores, rows = index(vectors[:5], 7)
    expected = vectors[:5] @ vectors.T
    np.testing.assert_array_equal(rows, np.argsort(-expected, axis=1)[:, :7])
    np.testing.assert_allclose(scores, np.sort(expected, axis=1)[:, :-8:-1], rtol=1e-5)
    assert (rows.dtype, len(index)) == (np.int32, 2000)
    assert index.recall(vectors[:5], 7) == 1


def test_recall_is_the_share_of_the_exact_ones(vectors):
    index = ApproximateTopK(vectors, lists=50, probes=2)
    rows = index(vectors[:40], 10)[1]
    exact = np.argsort(-(vectors[:40] @ vectors.T), axis=1)[:, :10]
    expected = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, exact, strict=True)])
    assert index.recall(vectors[:40], 10) == pytest.approx(expected)
    assert 0.1 < expected < 1
    np.testing.assert_array_equal(index(vectors[:40], 10)[1], rows)  # recall leaves no trace


def test_more_probes_find_more(vectors):
    few, many = (ApproximateTopK(vectors, lists=50, probes=n) for n in (1, 25))
    assert few.recall(vectors[:100], 20) < many.recall(vectors[:100], 20)


def test_places_without_an_item(vectors):
    scores, rows = ApproximateTopK(vectors[:3])(vectors[:1], 5)
    assert sorted(rows[0, :3]) == [0, 1, 2]
    assert rows[0, 3:].tolist() == [-1, -1]
    assert (scores[0, 3:] == np.finfo(np.float32).min).all()


def test_equal_seeds_give_equal_indexes(vectors):
    one, other = (ApproximateTopK(vectors, lists=50, probes=1, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one(vectors, 5)[1], other(vectors, 5)[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: ApproximateTopK(v[0]), r"item_vectors must have the shape \[rows, dim\]"),
        (lambda v: ApproximateTopK(v[:0]), "no rows"),
        (lambda v: ApproximateTopK(v * np.nan), "item_vectors must be finite"),
        (lambda v: ApproximateTopK(v, lists=0), "lists must be at least 1"),
        (lambda v: ApproximateTopK(v, probes=0), "probes must be at least 1"),
        (lambda v: ApproximateTopK(v)(v[:, :3], 1), r"queries must have the shape \[rows, 8\]"),
        (lambda v: ApproximateTopK(v)(v, 0), "k must be at least 1"),
    ],
)
def test_bad_input(vectors, change, words):
    with pytest.raises(InputError, match=words):
        change(vectors)


def test_without_faiss_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"tfrec-fusion\[ann\]"):
        ApproximateTopK(np.ones((2, 2)))
