"""Spectral fusion: a closed-form linear two-tower model of purchases and text."""

import numpy as np
import scipy.linalg
from scipy import sparse

from tfrec_fusion.embeddings.arrays import check_vectors
from tfrec_fusion.embeddings.spectral_vectors import SpectralVectors
from tfrec_fusion.errors import InputError

# Up to this many rows, the smaller Gram matrix is decomposed exactly (float64, 15 s on 2 cores).
_EXACT_ROWS = 6000
_OVERSAMPLING = 64
_POWER_STEPS = 8


class SpectralFusion:
    """Item vectors from a regularised spectral decomposition of stacked purchases and text.

    K = [diag(n_u^-b) X diag(pop^-a); sqrt(alpha) Z'], where X is the user-item matrix, Z the text
    vectors (centred, length 1), and n_u and pop are the event counts of users and items divided by
    their medians. With eigenvectors V and eigenvalues w of K'K, item j is row j of
    V sqrt(w / (w + lambda)), and a user is the normalised sum of pop_j^-a v_j over their items. At
    full rank the scores are those of ridge regression (w / (w + lambda) shrinks weak directions),
    i.e. of EASE without its zero diagonal; text gives vectors to items without purchases. Use it as
    a model, or to initialise training (`TwoTower`'s item table).

    The smaller of K'K and KK' is decomposed exactly up to 6,000 rows, and larger ones by a seeded
    randomised subspace iteration (Halko et al. 2011) that forms neither matrix.

    Example:
        >>> import numpy as np
        >>> from scipy import sparse
        >>> X = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 0]], "float32"))
        >>> SpectralFusion(dim=2).fit(X, np.eye(3)).vectors.shape
        (3, 2)
    """

    def __init__(
        self,
        dim: int = 1024,
        regularization: float = 200.0,
        text_weight: float = 20.0,
        user_power: float = 0.25,
        popularity_power: float = 0.0,
        seed: int = 0,
    ):
        """
        Args:
            dim: length of the vectors; columns beyond the rank of K are zero.
            regularization: lambda, above 0.
            text_weight: alpha, 0 or more; 0 ignores text.
            user_power: b; 0 weights all events equally, larger values damp users of many events.
            popularity_power: a; larger values damp popular items.
            seed: seed of the randomised decomposition.
        """
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
            raise InputError(f"dim: must be a positive integer. Received: {dim!r}")
        if not (np.isfinite(regularization) and regularization > 0):
            raise InputError(f"regularization: must be above 0. Received: {regularization!r}")
        if not (np.isfinite(text_weight) and text_weight >= 0):
            raise InputError(f"text_weight: must be 0 or more. Received: {text_weight!r}")
        for name, value in (("user_power", user_power), ("popularity_power", popularity_power)):
            if not np.isfinite(value):
                raise InputError(f"{name}: must be a finite number. Received: {value!r}")
        self.dim = dim
        self.regularization = float(regularization)
        self.text_weight = float(text_weight)
        self.user_power = float(user_power)
        self.popularity_power = float(popularity_power)
        self.seed = seed

    def get_config(self) -> dict:
        """Constructor arguments, JSON-ready."""
        return {
            "dim": self.dim,
            "regularization": self.regularization,
            "text_weight": self.text_weight,
            "user_power": self.user_power,
            "popularity_power": self.popularity_power,
            "seed": self.seed,
        }

    def fit(self, interactions, text=None, mask=None) -> SpectralVectors:
        """Decomposes training purchases and text.

        Args:
            interactions: scipy sparse ``[users, items]``, 1 for each training pair.
            text: ``[items, d]`` finite numbers, the encoder's raw vectors; None for no text.
            mask: ``[items]`` bool, False for items without a text vector; None if all have one.

        Returns:
            `SpectralVectors` of all items, including those without events.

        Raises:
            InputError: no events, rows that do not match, NaN.
        """
        X = sparse.csr_matrix(interactions, dtype=np.float64)
        X.eliminate_zeros()
        if not X.nnz:
            raise InputError(f"interactions: no events to fit on. Received: shape {X.shape}")
        per_user = np.diff(X.indptr)
        per_item = np.bincount(X.indices, minlength=X.shape[1])
        Z = self._text_rows(text, mask, per_item)
        X, per_user = X[per_user > 0], per_user[per_user > 0]
        weights = _relative(per_item) ** -self.popularity_power
        scaled = sparse.diags(_relative(per_user) ** -self.user_power) @ X @ sparse.diags(weights)
        vectors = _shrunk_vectors(scaled.tocsr(), Z, self.dim, self.regularization, self.seed)
        return SpectralVectors(vectors.astype(np.float32), weights.astype(np.float32))

    def _text_rows(self, text, mask, per_item: np.ndarray) -> np.ndarray:
        """sqrt(alpha) Z ``[items, d]``: centred on the items with events, length 1, 0 if absent."""
        if text is None or self.text_weight == 0:
            return np.zeros((len(per_item), 0))
        text = np.asarray(check_vectors(text, "text"), np.float64)
        mask = np.ones(len(text), bool) if mask is None else np.asarray(mask, bool)
        if not len(text) == len(mask) == len(per_item):
            raise InputError(
                f"text: must have one row per item of the interactions ({len(per_item)}), and so "
                f"must the mask. Received: {len(text)} rows, mask {len(mask)}"
            )
        known = mask & (per_item > 0)
        centred = text - (text[known].mean(axis=0) if known.any() else 0.0)
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
        unit[~mask] = 0.0
        return np.sqrt(self.text_weight) * unit


def _relative(counts: np.ndarray) -> np.ndarray:
    """Counts / median of the nonzero counts; 0 counts as 1, so that all powers are finite."""
    return np.maximum(counts, 1) / np.median(counts[counts > 0])


def _shrunk_vectors(X, Z, dim: int, regularization: float, seed: int) -> np.ndarray:
    """V sqrt(w / (w + lambda)) of K = [X; Z'], ``[items, dim]`` float64."""
    rows, items = X.shape[0] + Z.shape[1], X.shape[1]
    kept = min(dim, rows, items)
    out = np.zeros((items, dim))
    if min(rows, items) > _EXACT_ROWS and kept < min(rows, items) // 4:
        values, vectors = _randomised(X, Z, kept, seed)
    else:
        values, vectors = _exact(X, Z, kept)
    values = np.maximum(values, 0.0)
    if len(vectors) == items:
        vectors = vectors * np.sqrt(values / (values + regularization))
    else:
        # V sqrt(w) = K'U, which avoids a division by small w.
        vectors = _transposed(X, Z, vectors) / np.sqrt(values + regularization)
    out[:, :kept] = vectors
    largest = np.abs(out).argmax(axis=0)
    return out * np.where(out[largest, np.arange(dim)] < 0, -1.0, 1.0)


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
