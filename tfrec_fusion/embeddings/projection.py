"""The common base of PCA and whitening: a linear projection fitted on given rows."""

import json
import os

import numpy as np

from tfrec_fusion.embeddings.arrays import check_vectors
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import new_file
from tfrec_fusion.paths import local_path

# Directions with less than this share of the largest eigenvalue are rounding errors.
_RANK_TOLERANCE = 1e-10


class Projection:
    """z = (x - mu) P, with mean mu and P from the covariance of the rows it is fitted on.

    The columns of P are the covariance's eigenvectors, scaled by the subclass in `_scale`.
    Directions without variance become zero columns, so the width is always the same.

    Attributes:
        mean: ``[d]`` float64, after `fit`.
        projection: ``[d, k]`` float64, after `fit`.
    """

    kind = "projection"

    def __init__(self, dim: int | None = None, unit: bool = False):
        if dim is not None and (isinstance(dim, bool) or not isinstance(dim, int) or dim < 1):
            raise InputError(f"dim: must be a positive integer or None. Received: {dim!r}")
        self.dim = dim
        self.unit = bool(unit)
        self.mean: np.ndarray | None = None
        self.projection: np.ndarray | None = None

    def _scale(self, values: np.ndarray) -> np.ndarray:
        """Length of each column of P, ``[d]``, from the positive eigenvalues ``[d]``."""
        raise NotImplementedError

    @property
    def fitted(self) -> bool:
        """Whether `fit` or `load` has been called, so that `transform` works."""
        return self.projection is not None

    def fit(self, vectors, rows=None):
        """Fits mean and directions on ``vectors[rows]``.

        Args:
            vectors: ``[n, d]`` finite numbers.
            rows: positions or a bool mask ``[n]`` of the rows to fit on (e.g. the training items
                that have a vector); None for all.

        Raises:
            InputError: fewer than 2 rows, ``dim`` above d, NaN, wrong rank.
        """
        vectors = check_vectors(vectors, f"vectors for {self.kind}")
        sample = np.asarray(vectors if rows is None else vectors[np.asarray(rows)], np.float64)
        if len(sample) < 2:
            raise InputError(
                f"{self.kind}: needs at least 2 rows to fit on. Received: {len(sample)}"
            )
        width = sample.shape[1]
        kept = width if self.dim is None else self.dim
        if kept > width:
            raise InputError(
                f"dim: cannot keep more dimensions than the vectors have ({width}); lower it. "
                f"Received: {self.dim}"
            )
        mean = sample.mean(axis=0)
        centred = sample - mean
        values, directions = np.linalg.eigh(centred.T @ centred / len(sample))
        values, directions = np.maximum(values[::-1], 0.0), directions[:, ::-1]
        directions = directions * _signs(directions)
        real = values > _RANK_TOLERANCE * values[0]
        scale = np.zeros(width)
        scale[real] = self._scale(values)[real] if real.any() else 0.0
        self.mean = mean
        self.projection = np.ascontiguousarray((directions * scale)[:, :kept])
        return self

    @classmethod
    def of(cls, mean, projection, unit: bool = False):
        """Returns a fitted projection of a mean ``[d]`` and directions ``[d, k]``."""
        fitted = cls(projection.shape[1], unit=unit)
        fitted.mean, fitted.projection = mean, projection
        return fitted

    def transform(self, vectors, mask=None) -> np.ndarray:
        """Projected rows, ``[n, k]`` float32.

        Args:
            vectors: ``[n, d]``.
            mask: ``[n]`` bool; rows with False (no vector) become zero.
        """
        if self.projection is None or self.mean is None:
            raise InputError(
                f"{self.kind}: not fitted; call fit() or load() first. Received: no rows"
            )
        vectors = check_vectors(vectors, f"vectors for {self.kind}")
        if vectors.shape[1] != len(self.mean):
            raise InputError(
                f"vectors for {self.kind}: must have {len(self.mean)} dims, as in fit(). "
                f"Received: {vectors.shape[1]}"
            )
        out = (np.asarray(vectors, np.float64) - self.mean) @ self.projection
        if self.unit:
            length = np.linalg.norm(out, axis=1, keepdims=True)
            out = np.divide(out, length, out=np.zeros_like(out), where=length > 0)
        if mask is not None:
            out[~np.asarray(mask, bool)] = 0.0
        return out.astype(np.float32)

    def width(self, dims: int) -> int:
        """Output dims of `transform` for vectors of ``dims``."""
        return dims if self.dim is None else self.dim

    def get_config(self) -> dict:
        """Constructor arguments, JSON-ready."""
        return {"dim": self.dim, "unit": self.unit}

    def save(self, path) -> None:
        """Writes config, mean and projection as one ``.npz``, atomically."""
        if self.projection is None or self.mean is None:
            raise InputError(
                f"{self.kind}: not fitted; call fit() before save(). Received: no rows"
            )
        with new_file(path) as file:
            np.savez(
                file,
                config=np.array(json.dumps(self.get_config())),
                mean=self.mean,
                projection=self.projection,
            )

    @classmethod
    def load(cls, path):
        """Reads a file written by `save`.

        Raises:
            InputError: no such file, or another kind of file.
        """
        path = local_path(path, cls.kind)
        try:
            with np.load(path, allow_pickle=False) as saved:
                loaded = cls(**json.loads(saved["config"].item()))
                loaded.mean, loaded.projection = saved["mean"], saved["projection"]
        except FileNotFoundError:
            raise InputError(
                f"{cls.kind}: no such file; check the path. Received: {os.fspath(path)!r}"
            ) from None
        except Exception as error:
            raise InputError(
                f"{cls.kind}: {os.fspath(path)!r} was not written by {cls.__name__}.save; fit it "
                f"again. Received: {type(error).__name__}"
            ) from None
        return loaded


def _signs(directions: np.ndarray) -> np.ndarray:
    """+-1 for each column, to make its entry of largest magnitude positive."""
    largest = np.abs(directions).argmax(axis=0)
    return np.where(directions[largest, np.arange(directions.shape[1])] < 0, -1.0, 1.0)
