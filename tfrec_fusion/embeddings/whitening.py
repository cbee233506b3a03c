"""Whitening: text vectors spread evenly over their directions."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np

from tfrec_fusion.embeddings.arrays import check_vectors
from tfrec_fusion.errors import InputError

# Directions with less than this share of the largest eigenvalue are rounding, not content.
_RANK_TOLERANCE = 1e-10


class Whitening:
    """PCA whitening, z = (x - mu) U (L + epsilon * mean(L))^(-1/2), kept to the leading directions.

    U and L are eigenvectors and eigenvalues (falling) of the covariance of the rows it is fitted
    on. Raw text vectors share a strong common direction; after whitening their dot products tell
    items apart. Directions without variance become zero columns, so the width is always the same.
    Fit it on training items only.

    Source: WhitenRec (Zhang et al., ICDE 2024). The epsilon is relative to the mean eigenvalue, so
    it does not depend on the scale of x: near 0 is full whitening, 1 and more leaves weak
    directions weak (relaxed whitening).

    Attributes:
        mean: ``[d]`` float64, after `fit`.
        projection: ``[d, k]`` float64, after `fit`.

    Example:
        >>> import numpy as np
        >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> round(float(Whitening(epsilon=0).fit(x).transform(x)[0, 0]), 3)
        1.414
    """

    def __init__(self, dim: int | None = None, epsilon: float = 1e-6, unit: bool = False):
        """
        Args:
            dim: leading directions kept; None for all.
            epsilon: relaxation, as a multiple of the mean eigenvalue; 0 or more.
            unit: scale each transformed row to length 1.
        """
        if dim is not None and (isinstance(dim, bool) or not isinstance(dim, int) or dim < 1):
            raise InputError(f"dim: must be a positive integer or None. Received: {dim!r}")
        if not (np.isfinite(epsilon) and epsilon >= 0):
            raise InputError(f"epsilon: must be a number from 0 up. Received: {epsilon!r}")
        self.dim = dim
        self.epsilon = float(epsilon)
        self.unit = bool(unit)
        self.mean: np.ndarray | None = None
        self.projection: np.ndarray | None = None

    def fit(self, vectors, rows=None) -> "Whitening":
        """Learn mean and directions from ``vectors[rows]``.

        Args:
            vectors: ``[n, d]`` finite numbers.
            rows: which rows to learn from, positions or a bool mask ``[n]`` (for example the items
                of the training interactions that have a vector); None for all.

        Raises:
            InputError: fewer than 2 rows, ``dim`` beyond d, NaN, wrong rank.
        """
        vectors = check_vectors(vectors, "vectors to whiten")
        sample = np.asarray(vectors if rows is None else vectors[np.asarray(rows)], np.float64)
        if len(sample) < 2:
            raise InputError(
                f"whitening: needs at least 2 rows to learn from. Received: {len(sample)}"
            )
        width = sample.shape[1]
        kept = width if self.dim is None else self.dim
        if kept > width:
            raise InputError(
                f"dim: cannot keep more dimensions than the vectors have ({width}); lower it. "
                f"Received: {self.dim}"
            )
        self.mean = sample.mean(axis=0)
        centred = sample - self.mean
        values, directions = np.linalg.eigh(centred.T @ centred / len(sample))
        values, directions = np.maximum(values[::-1], 0.0), directions[:, ::-1]
        directions = directions * _signs(directions)
        scale = np.zeros(width)
        real = values > _RANK_TOLERANCE * values[0]
        scale[real] = (values[real] + self.epsilon * values.mean()) ** -0.5
        self.projection = np.ascontiguousarray((directions * scale)[:, :kept])
        return self

    def transform(self, vectors, mask=None) -> np.ndarray:
        """Whitened rows, ``[n, k]`` float32.

        Args:
            vectors: ``[n, d]``.
            mask: ``[n]`` bool; rows where it is False (no vector) become zero.
        """
        if self.projection is None:
            raise InputError("whitening: not fitted; call fit() or load() first. Received: no rows")
        vectors = check_vectors(vectors, "vectors to whiten")
        if vectors.shape[1] != len(self.mean):
            raise InputError(
                f"vectors to whiten: must have {len(self.mean)} dims, as in fit(). "
                f"Received: {vectors.shape[1]}"
            )
        out = (np.asarray(vectors, np.float64) - self.mean) @ self.projection
        if self.unit:
            length = np.linalg.norm(out, axis=1, keepdims=True)
            out = np.divide(out, length, out=np.zeros_like(out), where=length > 0)
        if mask is not None:
            out[~np.asarray(mask, bool)] = 0.0
        return out.astype(np.float32)

    def get_config(self) -> dict:
        """Constructor arguments, JSON-ready."""
        return {"dim": self.dim, "epsilon": self.epsilon, "unit": self.unit}

    def save(self, path) -> None:
        """Write config, mean and projection as one ``.npz``, atomically."""
        if self.projection is None:
            raise InputError("whitening: not fitted; call fit() before save(). Received: no rows")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(
                    file,
                    config=np.array(json.dumps(self.get_config())),
                    mean=self.mean,
                    projection=self.projection,
                )
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    @classmethod
    def load(cls, path) -> "Whitening":
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or not a saved whitening.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                whitening = cls(**json.loads(saved["config"].item()))
                whitening.mean, whitening.projection = saved["mean"], saved["projection"]
        except FileNotFoundError:
            raise InputError(
                f"whitening: no such file; check the path. Received: {os.fspath(path)!r}"
            ) from None
        except Exception as error:
            raise InputError(
                f"whitening: {os.fspath(path)!r} was not written by Whitening.save; fit it again. "
                f"Received: {type(error).__name__}"
            ) from None
        return whitening


def _signs(directions: np.ndarray) -> np.ndarray:
    """+-1 a column, making its entry of largest magnitude positive."""
    largest = np.abs(directions).argmax(axis=0)
    return np.where(directions[largest, np.arange(directions.shape[1])] < 0, -1.0, 1.0)
