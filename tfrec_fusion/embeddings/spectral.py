"""Spectral fusion: a closed-form linear two-tower model of purchases and text."""

import numpy as np
from scipy import sparse

from tfrec_fusion.embeddings.arrays import check_vectors
from tfrec_fusion.embeddings.spectral_factors import SpectralFactors, leading
from tfrec_fusion.embeddings.spectral_vectors import SpectralVectors
from tfrec_fusion.errors import InputError


class SpectralFusion:
    """Item vectors from a regularised spectral decomposition of stacked purchases and text.

    K = [diag(n_u^-b) X diag(pop^-a); d diag(m_u^-b) Y diag(pop^-a); sqrt(alpha) Z'], where X is the
    user-item matrix of likes, Y that of dislikes, if any, Z the text vectors (centred, length 1),
    and n_u, m_u and pop are the counts of likes and dislikes of users and of likes of items,
    divided by their medians. Who dislikes the same items has a taste in common, too. With
    eigenvectors V and eigenvalues w of K'K, item j is row j of
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
        dislike_weight: float = 0.6,
        seed: int = 0,
    ):
        """
        Args:
            dim: length of the vectors; columns beyond the rank of K are zero.
            regularization: lambda, above 0.
            text_weight: alpha, 0 or more; 0 ignores text.
            user_power: b; 0 weights all events equally, larger values damp users of many events.
            popularity_power: a; larger values damp popular items.
            dislike_weight: d, 0 or more; 0 ignores dislikes.
            seed: seed of the randomised decomposition.
        """
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
            raise InputError(f"dim: must be a positive integer. Received: {dim!r}")
        if not (np.isfinite(regularization) and regularization > 0):
            raise InputError(f"regularization: must be above 0. Received: {regularization!r}")
        if not (np.isfinite(text_weight) and text_weight >= 0):
            raise InputError(f"text_weight: must be 0 or more. Received: {text_weight!r}")
        if not (np.isfinite(dislike_weight) and dislike_weight >= 0):
            raise InputError(f"dislike_weight: must be 0 or more. Received: {dislike_weight!r}")
        for name, value in (("user_power", user_power), ("popularity_power", popularity_power)):
            if not np.isfinite(value):
                raise InputError(f"{name}: must be a finite number. Received: {value!r}")
        self.dim = dim
        self.regularization = float(regularization)
        self.text_weight = float(text_weight)
        self.user_power = float(user_power)
        self.popularity_power = float(popularity_power)
        self.dislike_weight = float(dislike_weight)
        self.seed = seed

    def get_config(self) -> dict:
        """Constructor arguments, JSON-ready."""
        return {
            "dim": self.dim,
            "regularization": self.regularization,
            "text_weight": self.text_weight,
            "user_power": self.user_power,
            "popularity_power": self.popularity_power,
            "dislike_weight": self.dislike_weight,
            "seed": self.seed,
        }

    def fit(self, interactions, text=None, mask=None, disliked=None) -> SpectralVectors:
        """Decomposes training purchases and text.

        Args:
            interactions: scipy sparse ``[users, items]``, 1 for each training pair.
            text: ``[items, d]`` finite numbers, the encoder's raw vectors; None for no text.
            mask: ``[items]`` bool, False for items without a text vector; None if all have one.
            disliked: scipy sparse ``[users, items]``, 1 for each disliked item; None for none.

        Returns:
            `SpectralVectors` of all items, including those without events.

        Raises:
            InputError: no events, rows that do not match, NaN.
        """
        return self.factors(interactions, text, mask, disliked).vectors(self.regularization)

    def factors(self, interactions, text=None, mask=None, disliked=None) -> SpectralFactors:
        """Decomposes as `fit`, without lambda: the factors give the vectors of any lambda at once.

        Args, raises: as in `fit`.
        """
        X = sparse.csr_matrix(interactions, dtype=np.float64)
        X.eliminate_zeros()
        if not X.nnz:
            raise InputError(f"interactions: no events to fit on. Received: shape {X.shape}")
        per_item = np.bincount(X.indices, minlength=X.shape[1])
        Z = self._text_rows(text, mask, per_item)
        weights = _relative(per_item) ** -self.popularity_power
        blocks = [self._damped(X)]
        if disliked is not None and self.dislike_weight > 0:
            Y = sparse.csr_matrix(disliked, dtype=np.float64)
            Y.eliminate_zeros()
            if Y.shape != X.shape:
                raise InputError(
                    f"disliked: must have the shape of interactions, {X.shape}. Received: {Y.shape}"
                )
            if Y.nnz:
                blocks.append(self.dislike_weight * self._damped(Y))
        scaled = (sparse.vstack(blocks) @ sparse.diags(weights)).tocsr()
        values, factors = leading(scaled, Z, self.dim, self.seed)
        return SpectralFactors(values, factors, weights.astype(np.float32), self.dim)

    def _damped(self, X: sparse.csr_matrix) -> sparse.csr_matrix:
        """The rows of users with events, divided by a power of their relative counts."""
        counts = np.diff(X.indptr)
        some = counts > 0
        return sparse.diags(_relative(counts[some]) ** -self.user_power) @ X[some]

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
