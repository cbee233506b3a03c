"""Semantic ids: codes of vectors from coarse to fine, by residual k-means."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from tfrec_fusion.embeddings.arrays import CHUNK_ROWS, check_vectors
from tfrec_fusion.embeddings.whitening import Whitening
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import new_file
from tfrec_fusion.paths import local_path

_FEWEST = 8  # fitted vectors for each code
_MOST = 256  # more of them for each code do not move a mean by much
_ROUNDS = 25


class SemanticIds:
    """Residual k-means: each level's codebook quantizes what the levels before it left over.

    With z the whitened vector and r_0 = z, level l has the codebook C_l and

        c_l = argmin_k |r_(l-1) - C_l[k]|^2,   r_l = r_(l-1) - C_l[c_l]

    so that c_1 is a coarse cluster, (c_1, c_2) a part of it, and so on: similar items share a
    prefix. Fit it on training items and encode all of them: a cold item then shares the prefixes
    of warm ones with similar texts.

    Source: semantic ids of TIGER (Rajput et al., NeurIPS 2023) and their prefixes as features
    (Singh et al., "Better Generalization with Semantic IDs", RecSys 2024), with k-means in the
    place of their RQ-VAE, as in OneRec (Deng et al. 2025).

    Attributes:
        codebooks: ``[levels, k, d]`` float32, after `fit`; k is at most `codes`.
        errors: ``[levels]``, after `fit`: the share of the variance of the fitted rows that is left
            after each level; it never rises.
        whitening: the fitted `Whitening`; None without.

    Example:
        >>> import numpy as np
        >>> x = np.repeat([[-11.0], [-9.0], [9.0], [11.0]], 4, 0)
        >>> ids = SemanticIds(levels=2, codes=2, whitening_dim=None).fit(x)
        >>> ids.errors.round(4).tolist()  # the variance is 101; +-10 leaves 1, +-1 nothing
        [0.0099, 0.0]
        >>> ids.decode(ids.encode(x[:1])).tolist()
        [[-11.0]]
    """

    def __init__(
        self,
        levels: int = 3,
        codes: int = 256,
        whitening_dim: int | None = 64,
        seed: int = 0,
    ):
        """
        Args:
            levels: number of codes of a vector.
            codes: size of each level's codebook; fewer than 8 fitted vectors a code make it
                smaller.
            whitening_dim: whitens vectors to at most this many dimensions and to length 1; None
                leaves them unchanged.
            seed: of the initial centres and of the sample that k-means is fitted on.

        Raises:
            InputError: a size that is no positive whole number.
        """
        sizes = {"levels": levels, "codes": codes, "whitening_dim": whitening_dim}
        for name, value in sizes.items():
            whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
            if not whole and not (name == "whitening_dim" and value is None):
                raise InputError(
                    f"semantic ids: {name} must be a positive whole number. Received: {value!r}"
                )
        self.levels, self.codes = levels, codes
        self.whitening_dim, self.seed = whitening_dim, seed
        self.whitening: Whitening | None = None
        self.codebooks: np.ndarray | None = None
        self.errors: np.ndarray | None = None

    def fit(self, vectors, rows=None) -> SemanticIds:
        """Fits whitening and codebooks on ``vectors[rows]``, or on a sample of 256 a code.

        Args:
            vectors: ``[n, d]`` finite numbers.
            rows: positions or a bool mask ``[n]`` of the rows to fit on (e.g. the training items
                that have a vector); None for all.

        Raises:
            InputError: fewer than 2 rows, NaN, wrong rank.
        """
        vectors = check_vectors(vectors, "vectors for semantic ids")
        sample = np.asarray(vectors if rows is None else vectors[np.asarray(rows)], np.float32)
        if len(sample) < 2:
            raise InputError(
                f"semantic ids: need at least 2 vectors to fit on. Received: {len(sample)}"
            )
        if self.whitening_dim is not None:
            kept = min(self.whitening_dim, sample.shape[1], len(sample) - 1)
            self.whitening = Whitening(kept, unit=True).fit(sample)
        rng = np.random.default_rng(self.seed)
        codes = min(self.codes, max(len(sample) // _FEWEST, 1))
        if len(sample) > _MOST * codes:
            sample = sample[np.sort(rng.choice(len(sample), _MOST * codes, replace=False))]
        rest = self._whitened(sample)
        variance = float(np.square(rest - rest.mean(0)).sum())
        codebooks, left = [], []
        for _ in range(self.levels):
            codebook = _k_means(rest, codes, rng)
            rest = rest - codebook[_nearest(rest, codebook)]
            codebooks.append(codebook)
            left.append(float(np.square(rest).sum()))
        self.codebooks = np.stack(codebooks)
        self.errors = np.asarray(left) / max(variance, 1e-12)
        return self

    def encode(self, vectors, mask=None) -> np.ndarray:
        """Returns the codes of vectors, ``[n, levels]`` int32.

        Args:
            vectors: ``[n, d]``.
            mask: ``[n]`` bool; rows with False (no vector) get the codes -1.

        Raises:
            InputError: not fitted, NaN, or other dims than in `fit`.
        """
        codebooks = self._fitted()
        vectors = check_vectors(vectors, "vectors for semantic ids")
        if self.whitening is None and vectors.shape[1] != codebooks.shape[2]:
            raise InputError(
                f"vectors for semantic ids: must have {codebooks.shape[2]} dims, as in fit(). "
                f"Received: {vectors.shape[1]}"
            )
        found = np.empty((len(vectors), self.levels), np.int32)
        for start in range(0, len(vectors), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            rest = self._whitened(np.asarray(vectors[part], np.float32))
            for level, codebook in enumerate(codebooks):
                found[part, level] = _nearest(rest, codebook)
                rest = rest - codebook[found[part, level]]
        if mask is not None:
            found[~np.asarray(mask, bool)] = -1
        return found

    def decode(self, codes) -> np.ndarray:
        """Returns the sums of the centres of codes: whitened vectors ``[n, k]`` float32.

        Args:
            codes: ``[n, l]`` int, the codes of the first l levels; rows of -1 become zero.
        """
        codebooks, codes = self._fitted(), np.asarray(codes)
        found = np.zeros((len(codes), codebooks.shape[2]), np.float32)
        for codebook, column in zip(codebooks, codes.T, strict=False):
            found += np.where(column[:, None] >= 0, codebook[np.maximum(column, 0)], 0.0)
        return found

    def get_config(self) -> dict:
        """Constructor arguments, JSON-ready."""
        return {
            "levels": self.levels,
            "codes": self.codes,
            "whitening_dim": self.whitening_dim,
            "seed": self.seed,
        }

    def save(self, path) -> None:
        """Writes config, whitening and codebooks as one ``.npz``, atomically."""
        arrays: dict[str, Any] = {"codebooks": self._fitted(), "errors": self.errors}
        if self.whitening is not None:
            arrays |= {"mean": self.whitening.mean, "projection": self.whitening.projection}
        with new_file(path) as file:
            np.savez(file, config=np.array(json.dumps(self.get_config())), **arrays)

    @classmethod
    def load(cls, path) -> SemanticIds:
        """Reads a file written by `save`.

        Raises:
            InputError: no such file, or another kind of file.
        """
        path = local_path(path, "semantic ids")
        try:
            with np.load(path, allow_pickle=False) as saved:
                loaded = cls(**json.loads(saved["config"].item()))
                loaded.codebooks, loaded.errors = saved["codebooks"], saved["errors"]
                if "mean" in saved:
                    parts = saved["mean"], saved["projection"]
                    loaded.whitening = Whitening.of(*parts, unit=True)
        except FileNotFoundError:
            raise InputError(
                f"semantic ids: no such file; check the path. Received: {os.fspath(path)!r}"
            ) from None
        except Exception as error:
            raise InputError(
                f"semantic ids: {os.fspath(path)!r} was not written by SemanticIds.save; fit them "
                f"again. Received: {type(error).__name__}"
            ) from None
        return loaded

    def _fitted(self) -> np.ndarray:
        if self.codebooks is None:
            raise InputError(
                "semantic ids: not fitted; call fit() or load() first. Received: no codebooks"
            )
        return self.codebooks

    def _whitened(self, vectors: np.ndarray) -> np.ndarray:
        return vectors if self.whitening is None else self.whitening.transform(vectors)


def _k_means(points: np.ndarray, codes: int, rng: np.random.Generator) -> np.ndarray:
    """Centres `[codes, d]` by Lloyd's algorithm from k-means++.

    scikit-learn's own loop sums in the order in which its threads finish, so that equal seeds may
    give different codes.
    """
    from sklearn.cluster import kmeans_plusplus

    seed = int(rng.integers(1 << 31))
    centres = kmeans_plusplus(points, codes, random_state=seed)[0].astype(np.float32)
    owner = None
    for _ in range(_ROUNDS):
        nearest = _nearest(points, centres)
        if owner is not None and (nearest == owner).all():
            break
        owner = nearest
        order = np.argsort(owner, kind="stable")
        present, first = np.unique(owner[order], return_index=True)
        sums = np.add.reduceat(points[order], first, axis=0, dtype=np.float64)
        # A centre without points stays where it is.
        centres[present] = sums / np.diff([*first, len(owner)])[:, None]
    return centres


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Positions `[n]` of the nearest centres."""
    found = np.empty(len(points), np.int64)
    for start in range(0, len(points), CHUNK_ROWS):
        part = points[start : start + CHUNK_ROWS]
        distances = np.square(centres).sum(1) - 2 * part @ centres.T
        found[start : start + CHUNK_ROWS] = distances.argmin(1)
    return found
