"""A sample of numbers, stored as a histogram and quantiles."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from tfrec_fusion.export.reference.statistics import psi

_LEVELS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Distribution:
    """Histogram and quantiles of a reference sample of numbers, to compare other samples with.

    The bin edges are the sample's distinct deciles; an edge belongs to the bin below it. The last
    bin counts missing values (NaN).

    Attributes:
      edges: ascending bounds between the bins.
      counts: `[len(edges) + 2]` counts of the bins.
      quantiles: `[101]` percentiles of the values; empty without values.
      mean, sd: mean and standard deviation of the values.

    Example:
      >>> Distribution.of([1, 1, 2, 5]).count([1, 7, float("nan")]).tolist()
      [1, 0, 0, 0, 0, 0, 0, 1, 1]
    """

    edges: list[float]
    counts: list[int]
    quantiles: list[float]
    mean: float
    sd: float

    @classmethod
    def of(cls, values) -> Distribution:
        values = np.asarray(values, float)
        present = values[~np.isnan(values)]
        if len(present) == 0:
            return cls([], [0, len(values)], [], 0.0, 0.0)
        quantiles = np.quantile(present, _LEVELS)
        # An edge at the largest value would have nothing above it.
        edges = np.unique(quantiles[10:100:10])
        edges = edges[edges < quantiles[-1]]
        counts = _count(values, edges)
        return cls(
            edges.tolist(),
            counts.tolist(),
            quantiles.tolist(),
            float(present.mean()),
            float(present.std()),
        )

    def to_dict(self) -> dict:
        return asdict(self)

    def count(self, values) -> np.ndarray:
        """`[len(edges) + 2]` counts of values in the same bins."""
        return _count(np.asarray(values, float), np.array(self.edges))

    def psi(self, values) -> float:
        """Population stability index of `values`."""
        return psi(self.counts, self.count(values))

    def ks(self, values) -> float:
        """Kolmogorov-Smirnov distance of `values` from the reference, evaluated at its percentiles:
        the largest difference of the shares at or below, and strictly below, one of them. NaN
        without values."""
        values = np.sort(np.asarray(values, float))
        values = values[~np.isnan(values)]
        if len(values) == 0 or not self.quantiles:
            return float("nan")
        points = np.array(self.quantiles)
        # Equal percentiles are a jump of the distribution function, from foot to top.
        foot = _LEVELS[np.searchsorted(points, points, "left")]
        top = _LEVELS[np.searchsorted(points, points, "right") - 1]
        below = np.searchsorted(values, points, "left") / len(values)
        at = np.searchsorted(values, points, "right") / len(values)
        return float(max(np.abs(below - foot).max(), np.abs(at - top).max()))

    def shift(self, values) -> float:
        """Difference of the means in standard deviations of the reference; NaN if that is 0."""
        values = np.asarray(values, float)
        values = values[~np.isnan(values)]
        if len(values) == 0 or self.sd == 0:
            return float("nan")
        return float((values.mean() - self.mean) / self.sd)


def _count(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    missing = np.isnan(values)
    bins = np.where(missing, len(edges) + 1, np.searchsorted(edges, values, "left"))
    return np.bincount(bins, minlength=len(edges) + 2)
