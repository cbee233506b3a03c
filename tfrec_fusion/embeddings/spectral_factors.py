"""Spectral factors: eigenvectors and eigenvalues of purchases and text."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from tfrec_fusion.embeddings.spectral_vectors import SpectralVectors

# Up to this many rows, the smaller Gram matrix is decomposed exactly (float64, 15 s on 2 cores).
_EXACT_ROWS = 6000
_OVERSAMPLING = 64
_POWER_STEPS = 8


@dataclass(frozen=True, eq=False)
class SpectralFactors:
    """Leading eigenvalues w and scaled eigenvectors V sqrt(w) of K'K; see `SpectralFusion`.

    Attributes:
        values: ``[kept]`` float64, w, descending.
        factors: ``[n_items, kept]`` float32, V sqrt(w).
        weights: ``[n_items]`` float32, weight of each item in a user's history.
        dim: length of the vectors; columns beyond `kept` are zero.
    """

    values: np.ndarray
    factors: np.ndarray
    weights: np.ndarray
    dim: int

    def vectors(self, regularization: float) -> SpectralVectors:
        """Shrinks weak directions: V sqrt(w / (w + lambda))."""
        vectors = np.zeros((len(self.factors), self.dim), np.float32)
        vectors[:, : len(self.values)] = self.factors / np.sqrt(self.values + regularization)
        return SpectralVectors(vectors, self.weights)


def leading(X, Z, dim: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvalues, descending, of K'K for K = [X; Z'], and V sqrt(w) in float32.

    The largest entry of each eigenvector is positive.
    """
    rows, items = X.shape[0] + Z.shape[1], X.shape[1]
    kept = min(dim, rows, items)
    if min(rows, items) > _EXACT_ROWS and kept < min(rows, items) // 4:
        values, vectors = _randomised(X, Z, kept, seed)
    else:
        values, vectors = _exact(X, Z, kept)
    values = np.maximum(values, 0.0)
    # V sqrt(w) = K'U avoids a division by small w.
    found = vectors * np.sqrt(values) if len(vectors) == items else _transposed(X, Z, vectors)
    largest = np.abs(found).argmax(axis=0)
    found *= np.where(found[largest, np.arange(kept)] < 0, -1.0, 1.0)
    return values, found.astype(np.float32)


def _exact(X, Z, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenpairs, descending, of the smaller of K'K ``[items, items]`` and KK'."""
    if X.shape[1] <= X.shape[0] + Z.shape[1]:
        gram = (X.T @ X).toarray() + Z @ Z.T
    else:
        cross = X @ Z
        gram = np.block([[(X @ X.T).toarray(), cross], [cross.T, Z.T @ Z]])
    size = len(gram)
    values, vectors = scipy.linalg.eigh(
        gram, subset_by_index=[size - kept, size - 1], overwrite_a=True, check_finite=False
    )
    return values[::-1], vectors[:, ::-1]


def _randomised(X, Z, kept: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenpairs, descending, of K'K by randomised subspace iteration."""
    X, Z = X.astype(np.float32), Z.astype(np.float32)
    width = min(kept + _OVERSAMPLING, X.shape[1])
    basis = np.random.default_rng(seed).standard_normal((X.shape[1], width), dtype=np.float32)
    for _ in range(_POWER_STEPS):
        basis = scipy.linalg.qr(_gram(X, Z, basis), mode="economic", check_finite=False)[0]
    values, rotation = np.linalg.eigh(basis.T @ _gram(X, Z, basis))
    keep = slice(None, -kept - 1, -1)
    return values[keep].astype(np.float64), (basis @ rotation[:, keep]).astype(np.float64)


def _gram(X, Z, columns: np.ndarray) -> np.ndarray:
    """K'K times ``columns`` [items, k]."""
    return X.T @ (X @ columns) + Z @ (Z.T @ columns)


def _transposed(X, Z, columns: np.ndarray) -> np.ndarray:
    """K' times ``columns`` [rows of K, k]."""
    return X.T @ columns[: X.shape[0]] + Z @ columns[X.shape[0] :]
