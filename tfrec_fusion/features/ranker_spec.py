"""Sizes and vocabularies that a ranker derives from its training data."""

from __future__ import annotations

from pydantic import Field

from tfrec_fusion.features.spec import DataSpec


class RankerSpec(DataSpec):
    """A `DataSpec` with the categorical columns of the catalogue and the context columns.

    Attributes:
      categories: column of the catalogue -> its values in training items.
      context_numbers: names of the numeric context columns.
      context_categories: categorical context column -> its values in training.
    """

    categories: dict[str, list[str]] = Field(default_factory=dict)
    context_numbers: tuple[str, ...] = ()
    context_categories: dict[str, list[str]] = Field(default_factory=dict)
