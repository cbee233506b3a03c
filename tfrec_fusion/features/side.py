"""The declared features of items or of users, fitted on training rows."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Discriminator

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.kinds.category import Category
from tfrec_fusion.features.kinds.cross import Cross
from tfrec_fusion.features.kinds.number import Number
from tfrec_fusion.features.kinds.semantic_id import SemanticId
from tfrec_fusion.features.kinds.tags import Tags
from tfrec_fusion.features.kinds.times import Time
from tfrec_fusion.features.kinds.vectors import Vectors

FEATURE_KINDS = {
    one.model_fields["kind"].default: one
    for one in (Category, Tags, Number, Time, Cross, Vectors, SemanticId)
}
AnyFeature = Annotated[
    Category | Tags | Number | Time | Cross | Vectors | SemanticId, Discriminator("kind")
]


def key_path(location: tuple) -> list:
    """The location of a pydantic error in a config, without the members of unions of features."""
    return [
        part
        for place, part in enumerate(location)
        if part not in ("Features", "literal['infer']")
        and not (part in FEATURE_KINDS and place and isinstance(location[place - 1], int))
    ]


class Side(BaseModel):
    """Fitted features of one table, in order; saved with the model.

    All category columns share one embedding table: the rows of a feature follow those of the
    feature before it.

    Attributes:
      table: name of the table in errors, "items" or "users".
      features: the fitted features.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    features: tuple[AnyFeature, ...] = ()

    @classmethod
    def fit(cls, table: str, features: tuple[AnyFeature, ...], frame: pd.DataFrame) -> Side:
        """Fits features on the training rows of a table.

        Raises:
          InputError: a column is missing, or holds other values than its feature reads.
        """
        _check_columns(table, features, frame)
        return cls(table=table, features=tuple(one.fit(frame, table) for one in features))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns that the features read."""
        return tuple(dict.fromkeys(name for one in self.features for name in one.columns))

    @property
    def n_values(self) -> int:
        """Number of rows of the embedding table."""
        return sum(one.n_values for one in self.features)

    @property
    def width(self) -> int:
        """Number of category columns."""
        return sum(one.width for one in self.features)

    @property
    def n_numbers(self) -> int:
        """Number of numeric columns."""
        return sum(one.n_numbers for one in self.features)

    @property
    def slots(self) -> list[tuple[int, str]]:
        """Number of columns and pooling of each feature with category columns."""
        return [(one.width, one.pool) for one in self.features if one.width]

    @property
    def flags(self) -> list[int]:
        """The numeric columns that flag missing values: the last of each feature with numbers."""
        ends = np.cumsum([one.n_numbers for one in self.features if one.n_numbers])
        return [int(end) - 1 for end in ends]

    @property
    def sizes(self) -> dict:
        """The arguments of `layers.SideFeatures` that depend on the features."""
        return {
            "n_values": self.n_values,
            "slots": self.slots,
            "n_numbers": self.n_numbers,
            "flags": self.flags,
        }

    def encode(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Encodes rows by column name; other columns are ignored.

        Returns:
          Rows of the embedding table `[n, width]` int32, -1 for missing, and numbers
          `[n, n_numbers]` float32.

        Raises:
          InputError: a column is missing or holds values of another kind than in training.
        """
        _check_columns(self.table, self.features, frame)
        rows, numbers, first = [], [], 0
        for one in self.features:
            values, more = one.encode(frame, self.table)
            rows.append(np.where(values < 0, -1, values + first).astype(np.int32))
            numbers.append(more)
            first += one.n_values
        return np.concatenate(rows, 1), np.concatenate(numbers, 1)


def _check_columns(table: str, features: tuple[AnyFeature, ...], frame: pd.DataFrame) -> None:
    names = [name for one in features for name in one.columns]
    missing = list(dict.fromkeys(name for name in names if name not in frame))
    if missing:
        raise InputError(
            f"{table}: {len(missing)} columns of the declared features are missing: "
            f"{', '.join(missing[:3])}. Received: {list(frame.columns)}"
        )
