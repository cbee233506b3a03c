"""Columns of the catalogue, encoded for filters and rules."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tfrec_fusion.data import Catalogue
from tfrec_fusion.errors import InputError


@dataclass(frozen=True)
class Attribute:
    """An item column with one kind of value.

    Attributes:
      name: of the column.
      kind: "text" (a text or a list of texts per item), "number" or "flag".
      data: text: `[L, N]` int32 positions in `texts`, padded with `len(texts)`; number: `[N]`
        float32, NaN if missing; flag: `[N]` bool, False if missing.
      texts: the distinct texts of a text column.
    """

    name: str
    kind: str
    data: np.ndarray
    texts: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, catalogue: Catalogue, column: str) -> Attribute:
        """Reads a column of the catalogue; "" is a missing text.

        Raises:
          InputError: the column does not exist, or holds other kinds of values.
        """
        frame = catalogue.frame
        if column not in frame:
            raise InputError(f"items: no column {column!r}. Columns: {list(frame.columns)}")
        values = frame[column]
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.astype(object)
        filled = values.dropna()
        if _all_are(filled, bool | np.bool_):
            flags = values.astype("boolean").to_numpy(bool, na_value=False)
            return cls(column, "flag", flags)
        if pd.api.types.is_numeric_dtype(values.dtype):
            return cls(column, "number", catalogue.numeric(column))
        if _all_are(filled, list | tuple | np.ndarray):
            empty = np.zeros(0, object)
            return cls._of_texts(column, [empty if _missing(v) else v for v in values])
        if pd.api.types.is_object_dtype(values.dtype) or pd.api.types.is_string_dtype(values.dtype):
            return cls._of_texts(column, [[text] for text in catalogue.texts(column)])
        raise InputError(
            f"items: column {column!r} must hold texts, lists of texts, numbers or booleans. "
            f"Received: {values.dtype}"
        )

    @classmethod
    def _of_texts(cls, column: str, lists) -> Attribute:
        flat = [value for values in lists for value in values]
        wrong = [value for value in flat if not isinstance(value, str)]
        if wrong:
            raise InputError(
                f"items: column {column!r} must hold lists of texts, but {len(wrong)} of their "
                f"values are not texts, first {wrong[0]!r}; convert them"
            )
        broken = [value for value in flat if "\n" in value or "\r" in value]
        if broken:
            raise InputError(
                f"items: column {column!r} has {len(broken)} texts with line breaks, which the "
                f"export's lookup table cannot hold, first {broken[0]!r}; strip them"
            )
        kept = [[value for value in values if value] for values in lists]
        codes, texts = pd.factorize(np.array([v for values in kept for v in values], object))
        lengths = np.array([len(values) for values in kept])
        data = np.full([max(lengths.max(initial=0), 1), len(kept)], len(texts), np.int32)
        items = np.repeat(np.arange(len(kept)), lengths)
        places = np.arange(len(codes)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        data[places, items] = codes
        return cls(column, "text", data, list(texts))


def _all_are(values: pd.Series, kinds) -> bool:
    if pd.api.types.is_bool_dtype(values.dtype):
        return kinds == bool | np.bool_
    if not pd.api.types.is_object_dtype(values.dtype) or not len(values):
        return False
    return all(isinstance(value, kinds) for value in values)


def _missing(value) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA
