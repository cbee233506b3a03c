"""The shapes and vocabularies a ranker takes from its data."""

from __future__ import annotations

from pydantic import Field

from tfrec_fusion.features.spec import DataSpec


class RankerSpec(DataSpec):
    """A `DataSpec` with what is known of the catalogue's and the context's columns.

    Attributes:
      categories: column of the catalogue -> its values in training items.
      context_numbers: the numeric context columns.
      context_categories: other context column -> its values in training.
    """

    categories: dict[str, list[str]] = Field(default_factory=dict)
    context_numbers: tuple[str, ...] = ()
    context_categories: dict[str, list[str]] = Field(default_factory=dict)
