"""Chooses features for the columns of a table."""

from __future__ import annotations

import itertools
import logging
from collections import Counter

import numpy as np
import pandas as pd

from tfrec_fusion.data.catalogue import looks_like_ids
from tfrec_fusion.data.tables import TEXT_COLUMNS, of_categories
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.kinds.category import Category
from tfrec_fusion.features.kinds.number import Number
from tfrec_fusion.features.kinds.tags import Tags
from tfrec_fusion.features.kinds.times import Time
from tfrec_fusion.features.kinds.values import tag_lists
from tfrec_fusion.features.kinds.vectors import Vectors
from tfrec_fusion.features.side import AnyFeature

_SEPARATORS = ("|", ";")
_FEW_NUMBERS = 12  # so many different whole numbers are categories
_LEAST_DISTINCT = 30  # fewer different texts are never free texts
# ISO 8601, with or without a time of day.
_DATE = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?"
_LEAK = 0.6  # rank correlation with the number of events
_log = logging.getLogger(__name__)


def inferred(
    table: str,
    frame: pd.DataFrame,
    id_column: str,
    counts: np.ndarray,
    everything: pd.DataFrame,
) -> tuple[AnyFeature, ...]:
    """Chooses a feature for each column that can be one, and logs every column.

    Args:
      table: "items" or "users".
      frame: the training rows.
      id_column: name of the column of ids, which is no feature.
      counts: `[n]` number of training events of each row.
      everything: all rows; a feature must be able to encode them too.
    """
    chosen, said = [], []
    for column in frame:
        if column == id_column or column in TEXT_COLUMNS:
            continue
        found = _fitting(table, frame, column, counts, everything)
        if isinstance(found, str):
            said.append(f"{column}: left out, {found}")
        else:
            chosen.append(found)
            said.append(f"{column}: {_described(found)}")
    if said:
        _log.warning("features: of %s: %s", table, "; ".join(said))
    return tuple(chosen)


def _fitting(
    table: str, frame: pd.DataFrame, column, counts: np.ndarray, everything: pd.DataFrame
) -> AnyFeature | str:
    """A feature that can be fitted on a column, or why there is none."""
    if not isinstance(column, str) or not column:
        return "its name is no text"
    if isinstance(frame[column].dtype, pd.SparseDtype):
        return "sparse; convert it with .sparse.to_dense()"
    try:
        found = _feature(column, frame[column], counts, table)
        if not isinstance(found, str):
            found.fit(frame, table).encode(everything, table)
        return found
    except InputError as error:
        return str(error).removeprefix(f"{table}: ")


def _described(feature: AnyFeature) -> str:
    options = feature.model_dump(exclude_defaults=True, exclude={"kind", "column"})
    given = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return f"{feature.kind} ({given})" if given else feature.kind


def _feature(column: str, values: pd.Series, counts: np.ndarray, table: str) -> AnyFeature | str:
    """A feature for a column, or why there is none."""
    values = of_categories(values)
    known = values.dropna()
    if not len(known):
        return "all values are missing"
    if all(isinstance(value, np.ndarray) and value.dtype.kind == "f" for value in known):
        if table == "users":
            return Vectors(column=column)
        return "it holds vectors, which Catalogue(vectors=) takes"
    if any(isinstance(value, list | tuple | np.ndarray) for value in known):
        return _tags(Tags(column=column, min_count=2), values, table)
    if _n_distinct(known) < 2:
        return "constant"
    if pd.api.types.is_bool_dtype(known.dtype):
        return Category(column=column)
    if pd.api.types.is_datetime64_any_dtype(known.dtype):
        return Time(column=column, parts=("age", "season"))
    if pd.api.types.is_numeric_dtype(known.dtype):
        return _number(column, values, known, counts)
    return _text(column, known.astype(str), table)


def _tags(feature: Tags, values: pd.Series, table: str) -> Tags | str:
    """The feature, unless `fit` would find no tag."""
    lists = tag_lists(values.to_frame(feature.column), feature.column, table, feature.separator)
    counts = Counter(itertools.chain(*lists))
    return feature if max(counts.values(), default=0) >= 2 else "no tag occurs twice"


def _number(
    column: str, values: pd.Series, known: pd.Series, counts: np.ndarray
) -> AnyFeature | str:
    if looks_like_ids(values):
        return "looks like ids"
    numbers = values.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    here = ~np.isnan(numbers)
    if here.sum() >= _LEAST_DISTINCT and len(np.unique(counts[here])) > 1:
        correlation = pd.Series(numbers[here]).rank().corr(pd.Series(counts[here]).rank())
        if abs(correlation) > _LEAK:
            return (
                f"its rank correlation with the number of events is {correlation:.2f}, so it may "
                "be made from them, later ones included"
            )
    found = known.astype("Float64").to_numpy(np.float64)
    whole = (found == np.rint(found)).all()
    if whole and known.nunique() <= min(_FEW_NUMBERS, len(known) / 2):
        return Category(column=column, min_count=2)
    skewed = found.min() >= 0 and found.max() > 10 * max(float(np.median(found)), 1e-9)
    return Number(column=column, scale="log" if skewed else "standard")


def _text(column: str, known: pd.Series, table: str) -> AnyFeature | str:
    for separator in _SEPARATORS:
        if known.str.contains(separator, regex=False).mean() > 0.2:
            return _tags(Tags(column=column, separator=separator, min_count=2), known, table)
    dated = known.str.fullmatch(_DATE)
    if dated.all():
        return Time(column=column, parts=("age", "season"))
    if dated.mean() > 0.5:
        others = known[~dated]
        return (
            f"{len(others)} of {len(known)} values are no dates as the others are, first "
            f"{others.iloc[0]!r}; clear them, or parse the column to timestamps"
        )
    distinct = known.nunique()
    if distinct == len(known):
        return "no value occurs twice"
    if distinct >= _LEAST_DISTINCT and distinct > len(known) / 2:
        return "most values are different, so it is free text or ids"
    return Category(column=column, min_count=2)


def _n_distinct(known: pd.Series) -> int:
    try:
        return known.nunique()
    except TypeError:  # values without a hash
        return len(known)
