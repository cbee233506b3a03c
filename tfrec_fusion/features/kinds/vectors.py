"""Features that are vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import PositiveInt

from tfrec_fusion._compat import tf
from tfrec_fusion.embeddings import Whitening
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.kinds.feature import Feature
from tfrec_fusion.features.kinds.packing import packed, unpacked
from tfrec_fusion.features.kinds.values import vectors_of

_ROWS = 1 << 16  # whitened at once


class Vectors(Feature):
    """Precomputed vectors, e.g. of a user's texts, with a flag for missing ones.

    For users and events: items have a place of their own for vectors, `Catalogue(vectors=)`, which
    a model's fusion weighs against their ids. A missing vector is zero. A request gives no vectors.

    Attributes:
      column: name of the vectors of the table, see `UserTable` and `Interactions`, or of a column
        of lists of numbers.
      whiten: whether to whiten the vectors, as WhitenRec (Zhang et al. 2024) does, fitted on the
        training rows: uncorrelated numbers of deviation 1, clipped to 6; else they stay as they
        are.
      most: largest number of directions that whitening keeps.
      size: number of dimensions of the vectors; set by `fit`.
      projection: mean and directions, `[size, 1 + k]` float32 in base64; set by `fit`.

    Example:
      >>> frame = pd.DataFrame({"taste": [[3.0, 0.0], [-3.0, 0.0], None]})
      >>> taste = Vectors(column="taste", most=1).fit(frame, "users")
      >>> taste.encode(frame, "users")[1].round(3).tolist()
      [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]
    """

    reads: ClassVar[None] = None
    kind: Literal["vectors"] = "vectors"
    whiten: bool = True
    most: PositiveInt = 64
    size: PositiveInt | None = None
    projection: str | None = None

    @property
    def n_numbers(self) -> int:
        kept = self.size or 0
        return 1 + (self._matrix.shape[1] - 1 if self.projection else kept)

    def fit(self, frame: pd.DataFrame, table: str) -> Vectors:
        values, here = vectors_of(frame, self.column, table)
        if here.sum() < 2:
            raise InputError(
                f"{table}: {self.column!r} has {here.sum()} vectors in {len(frame)} training rows, "
                "and needs at least 2; leave the feature out"
            )
        size = values.shape[1]
        if not self.whiten:
            return self.model_copy(update={"size": size})
        fitted = Whitening(min(self.most, size, int(here.sum()) - 1)).fit(values, here)
        matrix = np.concatenate([fitted.mean[:, None], fitted.projection], 1)
        return self.model_copy(update={"size": size, "projection": packed(matrix)})

    def encode(self, frame: pd.DataFrame, table: str) -> tuple[np.ndarray, np.ndarray]:
        values, here = vectors_of(frame, self.column, table, self.size)
        if self.projection:
            whitening = Whitening.of(self._matrix[:, 0], self._matrix[:, 1:])
            whitened = np.zeros((len(values), self.n_numbers - 1), np.float32)
            for start in range(0, len(values), _ROWS):
                part = slice(start, start + _ROWS)
                whitened[part] = np.clip(whitening.transform(values[part], here[part]), -6, 6)
            values = whitened
        return self._rows(frame), np.concatenate([values, ~here[:, None]], 1).astype(np.float32)

    def encode_tensors(
        self, values: Mapping[str, tf.Tensor], known: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.shape(next(iter(values.values())))[0]
        missing = tf.one_hot(tf.fill([batch], self.n_numbers - 1), self.n_numbers)
        return tf.zeros([batch, 0], tf.int32), missing

    @property
    def _matrix(self) -> np.ndarray:
        return unpacked(self.projection or "").reshape(self.size or 0, -1)
