"""Derives the spec, the frozen vectors and the fitted values of a Ranker from its events."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tfrec_fusion._compat import tf
from tfrec_fusion.data.given import require_interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.ranking import feature_names
from tfrec_fusion.features.context import CONTEXT_FIELDS, neutral_context
from tfrec_fusion.features.ranker_spec import RankerSpec
from tfrec_fusion.models.building import (
    check_item_features,
    check_storage,
    fitted_sides,
    frozen_vectors,
    item_numbers_of,
    require_first,
    vector_names,
)
from tfrec_fusion.models.ranker_config import RankerConfig


def described(data, config: RankerConfig) -> tuple[RankerSpec, dict, tuple | None]:
    """Returns the spec of `data`, the frozen vectors, and the values to fit or assign.

    The vectors are name -> (values, mask). The values are column -> category rows `[n_items]`, and
    the context's numbers `[n_events, columns]`; None if `data` is a spec.
    """
    if isinstance(data, RankerSpec | dict):
        return RankerSpec.model_validate(data), {}, None
    require_interactions(data, "Ranker")
    require_first("Ranker", data)
    catalogue = data.catalogue
    names = vector_names("Ranker", catalogue, config.vectors)
    check_storage("Ranker", config.storage, names)
    check_item_features("Ranker", config, names)
    if not (config.use_ids or names or config.declared.item):
        raise InputError(
            "Ranker: use_ids=False needs vectors or features of items; no vectors are chosen or in "
            "the catalogue, and no features are declared"
        )
    frozen = frozen_vectors(data, names, config.whitening_dim)
    trained = np.bincount(data.item, minlength=len(catalogue)) > 0
    categories, rows = {}, {}
    for column in config.categories:
        texts = catalogue.texts(column)
        values = np.unique(texts[trained & (texts != "")])
        categories[column] = values.tolist()
        rows[column] = pd.Index(values).get_indexer(texts).astype(np.int32)
    numbers, strings = {}, {}
    for column in config.context:
        if column not in data.context:
            raise InputError(
                f"Ranker: context: the interactions have no column {column!r}. "
                f"Received: {list(data.context)}"
            )
        values = data.context[column]
        if pd.api.types.is_numeric_dtype(values):
            numbers[column] = values.to_numpy(np.float64, na_value=np.nan)
            if not np.isfinite(numbers[column]).any():
                raise InputError(
                    f"Ranker: context: column {column!r} has no finite number; leave it out"
                )
        else:
            strings[column] = sorted({value for value in values.dropna() if value != ""})
    spec = RankerSpec(
        n_users=len(data.users),
        n_items=len(catalogue),
        users=data.users.fingerprint,
        items=catalogue.vocabulary.fingerprint,
        vector_dims={name: values.shape[1] for name, (values, _) in frozen.items()},
        feature_names=feature_names(data),
        numbers=item_numbers_of("Ranker", catalogue),
        categories=categories,
        context_numbers=tuple(numbers),
        context_categories=strings,
        **fitted_sides("Ranker", data, config.declared),
    )
    context = np.stack(list(numbers.values()), 1) if numbers else np.zeros((len(data), 0))
    return spec, frozen, (rows, context)


def example(spec: RankerSpec) -> dict[str, tf.Tensor]:
    """Returns a batch of one user with one item, to build all variables."""
    one = tf.zeros([1], tf.int32)
    batch = {
        "user": one,
        "item": one,
        "history": one[:, None],
        "history_age": tf.zeros([1, 1]),
        "item_features": tf.zeros([1, len(spec.feature_names)]),
        "is_warm": tf.ones([1], tf.bool),
    }
    if spec.context_side is not None:
        batch |= dict(zip(CONTEXT_FIELDS, neutral_context(spec.context_side), strict=True))
    numbers = {column: tf.zeros([1]) for column in spec.context_numbers}
    return batch | numbers | {column: tf.constant([""]) for column in spec.context_categories}
