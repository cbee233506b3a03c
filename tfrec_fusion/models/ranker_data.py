"""Derives the spec and the frozen vectors of a Ranker from its events."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.data.given import require_interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.ranking import feature_names
from tfrec_fusion.features.context import CONTEXT_FIELDS, neutral_context
from tfrec_fusion.features.history_events import EVENT_FIELDS, unknown_event
from tfrec_fusion.features.label_rates import COLUMNS, LABEL_RATES, LabelRates
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.models.building import (
    check_item_features,
    check_reads_events,
    check_storage,
    fitted_sides,
    frozen_vectors,
    item_numbers_of,
    require_first,
    vector_names,
)
from tfrec_fusion.models.ranker_config import RankerConfig


def described(data, config: RankerConfig) -> tuple[DataSpec, dict]:
    """Returns the spec of `data` and its frozen vectors, name -> (values, mask); none of a spec."""
    if isinstance(data, DataSpec | dict):
        return DataSpec.model_validate(data), {}
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
    check_reads_events("Ranker", config, config.user != "id")
    if config.label_rates:
        LabelRates.of(data)  # raises without impressions
    frozen = frozen_vectors(data, names, config.whitening_dim)
    spec = DataSpec(
        n_users=len(data.users),
        n_items=len(catalogue),
        users=data.users.fingerprint,
        items=catalogue.vocabulary.fingerprint,
        vector_dims={name: values.shape[1] for name, (values, _) in frozen.items()},
        feature_names=feature_names(data),
        numbers=item_numbers_of("Ranker", catalogue),
        label_rates=config.label_rates,
        **fitted_sides("Ranker", data, config.declared),
    )
    return spec, frozen


def example(spec: DataSpec) -> dict[str, tf.Tensor]:
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
    if spec.label_rates:
        batch[LABEL_RATES] = tf.zeros([1, 2 * COLUMNS])
    if spec.context_side is not None:
        batch |= dict(zip(CONTEXT_FIELDS, neutral_context(spec.context_side), strict=True))
    if spec.event_side is not None:
        event = zip(EVENT_FIELDS, unknown_event(spec.event_side), strict=True)
        batch |= {name: values[None] for name, values in event}
    return batch
