"""Checks of the batches that a TwoTower is trained on."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.joint import parts_of
from tfrec_fusion.features.context import CONTEXT_FIELDS, neutral_context
from tfrec_fusion.features.history_events import EVENT_FIELDS, unknown_event
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.models.building import check_sides, check_width, width_of
from tfrec_fusion.models.objectives.auxiliary_loss import AuxiliaryLoss
from tfrec_fusion.models.objectives.joint import Joint
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.pairs import check_pairs
from tfrec_fusion.models.objectives.sequences import check_sequences
from tfrec_fusion.models.towers.user_tower import UserTower

# Fields of a batch of `Interactions.batches`, except for pairs.
EXAMPLE_FIELDS = (
    "user",
    "weight",
    "history_item",
    "history_row",
    "history_age",
    "target",
    "item_features",
    "is_warm",
)


def example_batch(spec: DataSpec) -> dict[str, tf.Tensor]:
    """Returns a batch of one user, one history item and one candidate, to build all variables."""
    one = tf.zeros([1], tf.int32)
    batch = {
        "user": one,
        "history_item": one,
        "history_row": one,
        "history_age": tf.zeros([1]),
        "item_features": tf.zeros([1, len(spec.feature_names)]),
        "is_warm": tf.ones([1], tf.bool),
        "candidate": one,
    }
    if spec.context_side is not None:
        batch |= dict(zip(CONTEXT_FIELDS, neutral_context(spec.context_side), strict=True))
    if spec.event_side is not None:
        batch |= dict(zip(EVENT_FIELDS, unknown_event(spec.event_side), strict=True))
    return batch


def check_batch(model, batch) -> None:
    """Raises InputError if a `TwoTower` cannot be trained on batches with these fields."""
    own, marked = parts_of(batch)
    objective = model.objective
    terms = objective.terms if isinstance(objective, Joint) else {}
    unread = [name for name in marked if name not in terms]
    if unread:
        known = f"its terms are {', '.join(terms)}" if terms else "it has one term alone"
        raise InputError(
            f"TwoTower: the batches have examples for the term {unread[0]!r} of the loss, and "
            f"{known}; pass compile(loss={{{unread[0]!r}: ...}}), or leave them out of "
            f"joint_examples. Received: {sorted(marked)}"
        )
    if terms and set(terms) == set(marked):
        raise InputError(
            "TwoTower: each term of the loss has batches of its own, so that none reads the "
            "others; pass those of one term to joint_examples first, without its name. "
            f"Received: {sorted(marked)}"
        )
    if not terms:
        _check_examples(model, objective, own)
    for name, term in terms.items():
        try:
            _check_examples(model, term, marked.get(name, own))
        except InputError as error:
            told = str(error).removeprefix("TwoTower: ")
            raise InputError(f"TwoTower: loss: {name!r}: {told}") from None


def check_interests(tower: UserTower, config, scores_repeats: bool) -> None:
    """Raises InputError for options that a tower with several vectors cannot have."""
    if tower.interests == 1:
        return
    of_tower = f"TwoTower: {type(tower).__name__} has {tower.interests} vectors for a user, and "
    if config.distillation:
        raise InputError(
            f"{of_tower}distillation compares the scores of one; pass distillation=0. "
            f"Received: {config.distillation}"
        )
    if scores_repeats:
        raise InputError(
            f"{of_tower}repeated events count for towers of one vector or a SequenceTower; pass "
            "events.with_repeats('first'). Received: repeats='all'"
        )


def _check_examples(model, objective: Objective | AuxiliaryLoss | None, batch) -> None:
    """Raises InputError if examples do not suit a `TwoTower` or one of its losses."""
    received = f"Received: {sorted(batch)}"
    if "item" in batch and "is_warm" in batch:
        raise InputError(
            "TwoTower: batches of ranking_examples can only train a Ranker; pass batches of "
            f"events.batches(512). {received}"
        )
    if objective is not None:
        objective.check("TwoTower", batch)
    if "self_pairs" in batch and model.reads_history and not model.user_tower.subtracts_self:
        raise InputError(
            "TwoTower: autoencoder examples have the targets in the history, and "
            f"{type(model.user_tower).__name__} cannot subtract an item's own contribution from "
            f"its score; train on examples='as_of', 'held_out' or 'pairs'. {received}"
        )
    if "item" in batch:
        check_pairs(model, batch)
        check_sides("TwoTower", model.spec, batch, "events.batches(512, examples='pairs'")
        return
    if model.config.queue:
        raise InputError(
            "TwoTower: queue adds the items of earlier batches to the negatives of pairs, and "
            "these batches hold no pairs; pass queue=0, or train on examples='pairs'. "
            f"{received}"
        )
    if "next" in batch:
        check_sequences(model, batch)
        check_sides("TwoTower", model.spec, batch, "events.batches(128, examples='sequence'")
        return
    missing = [name for name in EXAMPLE_FIELDS if name not in batch]
    if missing:
        raise InputError(
            f"TwoTower: the batches have no {missing[0]!r}; pass batches of events.batches(512). "
            f"{received}"
        )
    repeated = not {"masked", "self_pairs"} & set(batch)
    if repeated != (model.spec.repeats == "all"):
        theirs = "all" if repeated else "first"
        raise InputError(
            f"TwoTower: the batches are of events with repeats={theirs!r}, and the model was built "
            f"for repeats={model.spec.repeats!r}; make them of "
            f"events.with_repeats({model.spec.repeats!r}). {received}"
        )
    check_sides("TwoTower", model.spec, batch, "events.batches(512, examples='as_of'")
    names = model.spec.feature_names
    columns = width_of(batch["item_features"])
    if names and columns == 0:
        raise InputError(
            f"TwoTower: 'item_features' has {columns} columns, and the model reads "
            f"{list(names)}; pass TwoTower(..., trend=False), or train on batches with "
            "examples='as_of'"
        )
    if names:
        check_width("TwoTower", model.spec, batch["item_features"])
