"""A sample of texts, stored as counts of the most frequent values."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from tfrec_fusion.export.reference.statistics import psi

_MOST = 50


@dataclass(frozen=True)
class Categories:
    """Value counts of a reference sample of texts, to compare other samples with.

    Attributes:
      values: the most frequent texts, at most 50.
      counts: `[len(values) + 2]`: counts of these, of all others, and of missing ones ("").

    Example:
      >>> Categories.of(["web", "web", "app", ""]).count(["app", "tv"]).tolist()
      [0, 1, 1, 0]
    """

    values: list[str]
    counts: list[int]

    @classmethod
    def of(cls, texts) -> Categories:
        texts = np.asarray(texts, object)
        values = pd.Series(texts[texts != ""], dtype=object).value_counts(sort=True)
        # Sorts equal counts by text, so that the same data give the same file.
        ordered = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
        kept = [value for value, _ in ordered[:_MOST]]
        return cls(kept, _count(texts, kept).tolist())

    def to_dict(self) -> dict:
        return asdict(self)

    def count(self, texts) -> np.ndarray:
        """`[len(values) + 2]` counts of other texts."""
        return _count(np.asarray(texts, object), self.values)

    def psi(self, texts) -> float:
        """Population stability index of `texts`."""
        return psi(self.counts, self.count(texts))


def _count(texts: np.ndarray, values: list[str]) -> np.ndarray:
    bins = pd.Index(values, dtype=object).get_indexer(texts)
    bins[bins < 0] = len(values)
    bins[texts == ""] = len(values) + 1
    return np.bincount(bins, minlength=len(values) + 2)
