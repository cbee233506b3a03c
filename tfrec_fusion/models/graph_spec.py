"""Sizes that a graph model derives from its training data."""

from __future__ import annotations

from tfrec_fusion.features.spec import DataSpec


class GraphSpec(DataSpec):
    """A `DataSpec` with the size of the training graph.

    Attributes:
      n_edges: number of distinct user-item pairs in the training events.
    """

    n_edges: int
