"""The shapes and vocabularies a ranker takes from its data."""

from __future__ import annotations

from pydantic import Field

from tfrec_fusion.models.data_spec import DataSpec


class RankerSpec(DataSpec):
    """A `DataSpec` with what is known of the catalogue's and the context's columns.

    Attributes:
      numbers: those of `feature_names` that are columns of the catalogue and no trend.
      categories: column of the catalogue -> its values in training items.
      context_numbers: numeric context column -> mean and standard deviation in training.
      context_categories: other context column -> its values in training.
    """

    numbers: tuple[str, ...] = ()
    categories: dict[str, list[str]] = Field(default_factory=dict)
    context_numbers: dict[str, tuple[float, float]] = Field(default_factory=dict)
    context_categories: dict[str, list[str]] = Field(default_factory=dict)
