"""Features made of the semantic ids of vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field, PositiveInt

from tfrec_fusion._compat import tf
from tfrec_fusion.embeddings import SemanticIds, Whitening
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.kinds.feature import Feature
from tfrec_fusion.features.kinds.packing import packed, unpacked
from tfrec_fusion.features.kinds.values import vectors_of


class SemanticId(Feature):
    """Clusters of vectors from coarse to fine, each embedded; a row's embeddings are summed.

    `SemanticIds` gives a vector the codes (c1, c2, c3). The prefixes c1, (c1, c2) and (c1, c2, c3)
    are categories, so that items with similar texts share trained embeddings, and a cold item has
    those of the warm items around it. Prefixes of few training rows are left out; a row without a
    vector has the embedding 0. A request gives no vectors. Prefixes as features: Singh et al.
    (RecSys 2024).

    Attributes:
      column: name of the vectors: of the catalogue, of the table of users or of the events.
      levels, codes, whitening_dim, seed: see `SemanticIds`.
      min_count: prefixes of fewer training rows are left out; one of a single item would be only
        another id of it.
      size: number of dimensions of the vectors; set by `fit`.
      projection: mean and directions of the whitening, `[size, 1 + k]` float32 in base64; set by
        `fit`.
      codebooks: `[levels, codes, k]` float32 in base64; set by `fit`.
      prefixes: the prefixes, as ascending int64 in base64; set by `fit`.

    Example:
      >>> frame = pd.DataFrame({"text": [[-9.0], [9.0]] * 8 + [None]})
      >>> text = SemanticId(column="text", levels=1, codes=2, whitening_dim=None)
      >>> rows = text.fit(frame, "items").encode(frame, "items")[0].ravel()
      >>> bool(rows[0] == rows[2] != rows[1]), int(rows[-1])
      (True, -1)
    """

    reads: ClassVar[None] = None
    kind: Literal["semantic_id"] = "semantic_id"
    levels: int = Field(default=3, ge=1, le=6)
    codes: int = Field(default=256, ge=2, le=1024)  # six of their digits fit into an int64
    whitening_dim: PositiveInt | None = 64
    min_count: PositiveInt = 2
    seed: int = 0
    size: PositiveInt | None = None
    projection: str | None = None
    codebooks: str | None = None
    prefixes: str | None = None

    @property
    def width(self) -> int:
        return self.levels

    @property
    def n_values(self) -> int:
        return len(self._known)

    def fit(self, frame: pd.DataFrame, table: str) -> SemanticId:
        values, here = vectors_of(frame, self.column, table)
        if here.sum() < 2:
            raise InputError(
                f"{table}: {self.column!r} has {here.sum()} vectors in {len(frame)} training rows, "
                "and needs at least 2; leave the feature out"
            )
        ids = SemanticIds(self.levels, self.codes, self.whitening_dim, self.seed).fit(values, here)
        parts: dict = {"size": values.shape[1], "codebooks": packed(ids.codebooks)}
        if ids.whitening is not None:
            mean, directions = ids.whitening.mean, ids.whitening.projection
            parts["projection"] = packed(np.concatenate([mean[:, None], directions], 1))
        fitted = self.model_copy(update=parts)
        found, counts = np.unique(fitted._prefixes(values[here]), return_counts=True)
        found = found[counts >= self.min_count]
        if not len(found):
            raise InputError(
                f"{table}: {self.column!r} has no cluster of {self.min_count} or more of "
                f"{here.sum()} training rows; lower min_count or leave the feature out"
            )
        return fitted.model_copy(update={"prefixes": packed(found, "<i8")})

    def encode(self, frame: pd.DataFrame, table: str) -> tuple[np.ndarray, np.ndarray]:
        values, here = vectors_of(frame, self.column, table, self.size)
        rows, known = np.full((len(values), self.levels), -1, np.int32), self._known
        if here.any():
            found = self._prefixes(values[here])
            place = np.minimum(np.searchsorted(known, found), len(known) - 1)
            rows[here] = np.where(known[place] == found, place, -1)
        return rows, self._numbers(frame)

    def encode_tensors(
        self, values: Mapping[str, tf.Tensor], known: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        given = next(iter(values.values()))
        none = tf.fill([tf.shape(given)[0], self.levels], -1)
        return none, self._no_columns(given, tf.float32)

    @property
    def _known(self) -> np.ndarray:
        return unpacked(self.prefixes or "", "<i8")

    def _prefixes(self, vectors: np.ndarray) -> np.ndarray:
        """The prefixes of each length of vectors `[n, size]`, as different numbers `[n, levels]`.

        Their digits are the codes plus 1, followed by zeros.
        """
        ids = SemanticIds(self.levels, self.codes, self.whitening_dim, self.seed)
        if self.projection:
            matrix = unpacked(self.projection).reshape(self.size or 0, -1)
            ids.whitening = Whitening.of(matrix[:, 0], matrix[:, 1:], unit=True)
        width = len(vectors[0]) if ids.whitening is None else matrix.shape[1] - 1
        ids.codebooks = unpacked(self.codebooks or "").reshape(self.levels, -1, width)
        powers = (self.codes + 1) ** np.arange(self.levels - 1, -1, -1, dtype=np.int64)
        return np.cumsum((ids.encode(vectors) + 1) * powers, 1)
