"""The shapes a graph model takes from its data."""

from __future__ import annotations

from tfrec_fusion.features.spec import DataSpec


class GraphSpec(DataSpec):
    """A `DataSpec` with the size of the training graph.

    Attributes:
      n_edges: distinct user-item pairs of the training events.
    """

    n_edges: int
