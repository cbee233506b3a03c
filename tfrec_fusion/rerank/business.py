"""The business options of an export: filters, rules and newer item attributes."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from tfrec_fusion.data import Catalogue
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.kinds.tags import Tags
from tfrec_fusion.features.kinds.values import tag_lists
from tfrec_fusion.features.side import Side
from tfrec_fusion.rerank.attributes import Attribute
from tfrec_fusion.rerank.compiled_rules import CompiledRules
from tfrec_fusion.rerank.filters import check_filters
from tfrec_fusion.rerank.rules import Rules


@dataclass(frozen=True)
class Business:
    """Filters and rules of an export, checked against one catalogue.

    Attributes:
      catalogue: the items, whose columns and titles are used.
      attributes: the columns of the filters.
      rules: as given; None without rules.
      compiled: the rules compiled for the catalogue; None without rules.
    """

    catalogue: Catalogue
    attributes: tuple[Attribute, ...] = ()
    rules: Rules | None = None
    compiled: CompiledRules | None = None

    @classmethod
    def of(
        cls,
        catalogue: Catalogue,
        filters: Sequence[str] = (),
        rules: Rules | Mapping | str | os.PathLike | None = None,
        items: pd.DataFrame | None = None,
        inputs: Sequence[str] = (),
        features: Side | None = None,
    ) -> Business:
        """Reads and checks filters and rules.

        Args:
          catalogue: of the model.
          filters: names of columns to filter by.
          rules: `Rules`, nested mappings or a file.
          items: a frame that replaces the catalogue's, with the same ids in any order.
          inputs: names of a request's other inputs, which filters cannot use.
          features: the model's features of items; columns that `Tags` read are split as they do.

        Raises:
          InputError: a column, a rule or the ids of `items` are invalid.
        """
        if items is not None:
            catalogue = _replaced(catalogue, items)
        if features is not None:
            catalogue = _with_tags(catalogue, features)
        if isinstance(filters, str):
            raise InputError(f"export: filters must be a list of columns. Received: {filters!r}")
        attributes = tuple(Attribute.of(catalogue, column) for column in filters)
        check_filters(attributes, inputs)
        source = "rules"
        if isinstance(rules, str | os.PathLike):
            source, rules = os.fspath(rules), Rules.load(rules)
        elif isinstance(rules, Mapping):
            rules = Rules.of(rules) if rules else None
        compiled = None if rules is None else CompiledRules.of(rules, catalogue, source)
        return cls(catalogue, attributes, rules, compiled)

    @property
    def card(self) -> dict:
        """The entries `filters` and `rules` of the model card."""
        rules = self.rules.model_dump(mode="json", exclude_defaults=True) if self.rules else None
        return {"filters": [attribute.name for attribute in self.attributes], "rules": rules}


def _replaced(catalogue: Catalogue, items: pd.DataFrame) -> Catalogue:
    """The catalogue with the columns of `items`, in the catalogue's order."""
    other = Catalogue(items)
    rows = other.vocabulary.rows(catalogue.vocabulary.ids)
    if (rows < 0).any() or len(other) != len(catalogue):
        missing = catalogue.vocabulary.ids[rows < 0]
        new = other.vocabulary.ids[catalogue.vocabulary.rows(other.vocabulary.ids) < 0]
        raise InputError(
            f"export: items must have the model's {len(catalogue)} item ids; {len(missing)} are "
            f"missing, e.g. {missing[:3].tolist()}, and {len(new)} are new, e.g. "
            f"{new[:3].tolist()}; train again for new items"
        )
    return Catalogue(other.frame.iloc[rows])


def _with_tags(catalogue: Catalogue, features: Side) -> Catalogue:
    """The catalogue with lists of texts in the columns that `Tags` read."""
    lists: dict[str, list[list[str]]] = {}
    for one in features.features:
        if not isinstance(one, Tags) or one.column not in catalogue.frame:
            continue
        found = tag_lists(catalogue.frame, one.column, "items", one.separator)
        if lists.setdefault(one.column, found) != found:
            raise InputError(
                f"items: features of the model split column {one.column!r} in different ways, so "
                "filters and rules cannot read it; declare the same separator for all members. "
                f"Received: {one.separator!r}"
            )
    split = copy.copy(catalogue)  # with its vectors
    columns = {name: pd.Series(values, dtype=object) for name, values in lists.items()}
    split.frame = catalogue.frame.assign(**columns)
    return split
