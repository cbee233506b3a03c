"""Approximate top-k outside the graph, for catalogues too large for exact search."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import optional
from tfrec_fusion.errors import InputError


class ApproximateTopK:
    """Searches item vectors by dot product in an inverted-file index (faiss).

    Below about ten million items prefer `ExactTopK`, which is exact and answers in milliseconds.
    The index assigns items to the lists of `lists` centroids, and a query searches only the
    `probes` nearest lists; `recall` measures the loss. Needs the extra `ann`.

    Args:
      item_vectors: `[N, D]` float32.
      lists: number of centroids; about 4 sqrt(N) by default.
      probes: number of lists that a query searches.
      seed: random seed of the centroids.

    Raises:
      ImportError: faiss is not installed.
      InputError: `item_vectors` is not a finite, non-empty matrix, or a size is not positive.

    Example:
      >>> vectors = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
      >>> index = ApproximateTopK(vectors, lists=4, probes=4)
      >>> index.recall(vectors[:10], k=5)
      1.0
    """

    def __init__(self, item_vectors, lists: int | None = None, probes: int = 16, seed: int = 0):
        faiss = optional("faiss", extra="ann")
        items = _matrix("item_vectors", item_vectors)
        if not len(items):
            raise InputError("ApproximateTopK: item_vectors has no rows; pass at least one")
        if lists is None:
            lists = round(4 * len(items) ** 0.5)
        for name, value in {"lists": lists, "probes": probes}.items():
            if value < 1:
                raise InputError(f"ApproximateTopK: {name} must be at least 1. Received: {value}")
        lists = min(lists, len(items))
        coarse = faiss.IndexFlatIP(items.shape[1])
        self._index = faiss.IndexIVFFlat(coarse, items.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        self._index.cp.seed = seed
        self._index.cp.min_points_per_centroid = 1  # no warning for small catalogues
        self._index.train(items)
        self._index.add(items)
        self._index.nprobe = min(probes, lists)

    def __len__(self) -> int:
        return self._index.ntotal

    def __call__(self, queries, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the k best items found, best first.

        Args:
          queries: `[B, D]` float32.
          k: 1 or more.

        Returns:
          Scores `[B, k]` float32 and rows `[B, k]` int32, padded with the lowest finite float32 and
          row -1 if the searched lists hold fewer than k items.

        Raises:
          InputError: `queries` is not a finite matrix `[B, D]`, or k is not positive.
        """
        queries = _matrix("queries", queries, self._index.d)
        if k < 1:
            raise InputError(f"ApproximateTopK: k must be at least 1. Received: {k}")
        scores, rows = self._index.search(queries, k)
        scores[rows < 0] = np.finfo(np.float32).min
        return scores, rows.astype(np.int32)

    def recall(self, queries, k: int) -> float:
        """Returns the mean share of the exact top k that a search finds, in [0, 1].

        The exact top k comes from searching all lists, which is slow; some hundred queries suffice.
        Raises InputError as a call does.
        """
        queries = _matrix("queries", queries, self._index.d)
        k = min(k, len(self))
        found = self(queries, k)[1]
        probes, self._index.nprobe = self._index.nprobe, self._index.nlist
        try:
            exact = self(queries, k)[1]
        finally:
            self._index.nprobe = probes
        shared = [len(np.intersect1d(one, other)) for one, other in zip(found, exact, strict=True)]
        return float(np.mean(shared)) / k


def _matrix(name: str, values, columns: int | None = None) -> np.ndarray:
    values = np.ascontiguousarray(values, np.float32)
    if values.ndim != 2 or columns not in (None, values.shape[1]):
        raise InputError(
            f"ApproximateTopK: {name} must have the shape [rows, {columns or 'dim'}]. "
            f"Received: shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise InputError(
            f"ApproximateTopK: {name} must be finite. Received: "
            f"{int((~np.isfinite(values)).sum())} numbers that are not"
        )
    return values
