"""The built-in objectives and their registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.losses import MultiTargetSoftmax, NormalisedSquared
from tfrec_fusion.losses.blocked import blocked_softmax
from tfrec_fusion.models.objectives.auxiliary_loss import AuxiliaryLoss
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.pairs import batch_softmax
from tfrec_fusion.registry import Registry

OBJECTIVES = Registry(
    "loss",
    {
        "softmax": "tfrec_fusion.models.objectives.catalogue:CatalogueSoftmax",
        "refined_softmax": "tfrec_fusion.models.objectives.refined_softmax:RefinedSoftmax",
        "normalised_squared": "tfrec_fusion.models.objectives.catalogue:CatalogueSquared",
        "bce": "tfrec_fusion.models.objectives.bce:BCE",
        "gbce": "tfrec_fusion.models.objectives.gbce:GBCE",
        "bpr": "tfrec_fusion.models.objectives.bpr:BPR",
        "hinge": "tfrec_fusion.models.objectives.hinge:PairwiseHinge",
        "ccl": "tfrec_fusion.models.objectives.ccl:CCL",
        "focal": "tfrec_fusion.models.objectives.focal:Focal",
        "list_mle": "tfrec_fusion.models.objectives.list_mle:ListMLE",
        "lambda_rank": "tfrec_fusion.models.objectives.lambda_rank:LambdaRank",
    },
)
AUXILIARY_LOSSES = Registry(
    "loss",
    {
        "alignment": "tfrec_fusion.models.objectives.content_alignment:ContentAlignment",
        "distillation": "tfrec_fusion.models.objectives.cold_distillation:ColdDistillation",
    },
)
"""Further terms of a joint loss."""


def find_loss(model: str, value: Any) -> Any:
    """Resolves a loss by name or `module:name`, creating an object of a Keras loss class.

    Other values are returned unchanged.

    Raises:
      InputError: the name is unknown or cannot be imported.
    """
    try:
        found = OBJECTIVES.resolve(value)
    except InputError as error:
        raise InputError(f"{model}: compile: {error}") from error
    return found() if isinstance(found, type) and issubclass(found, keras.losses.Loss) else found


def find_objective(model: str, value: Any) -> Objective:
    """Resolves an objective given by name, by `module:Class`, as a class or as an object.

    Raises:
      InputError: the value is not an `Objective`.
    """
    found = find_loss(model, value)
    if not isinstance(found, Objective):
        raise InputError(
            f"{model}: compile: loss: must be one of {', '.join(OBJECTIVES)}, module:Class of your "
            "own, or an Objective: other losses do not support candidates and masks. "
            f"Received: {value!r}"
        )
    return found


def find_term(model: str, name: str, value: Any) -> Objective | AuxiliaryLoss:
    """Resolves a term of a joint loss, given by name, by `module:Class`, as a class or an object.

    Raises:
      InputError: the value is neither an `Objective` nor an `AuxiliaryLoss`.
    """
    registry = AUXILIARY_LOSSES if value in list(AUXILIARY_LOSSES) else OBJECTIVES
    known = not isinstance(value, str) or value in registry or ":" in value
    try:
        found = registry.resolve(value) if known else None
    except InputError as error:
        raise InputError(f"{model}: compile: loss: {name!r}: {error}") from error
    if isinstance(found, type) and issubclass(found, Objective | AuxiliaryLoss):
        found = found()
    if not isinstance(found, Objective | AuxiliaryLoss):
        raise InputError(
            f"{model}: compile: loss: {name!r}: must be one of "
            f"{', '.join([*OBJECTIVES, *AUXILIARY_LOSSES])}, module:Class of your own, or an "
            f"Objective or AuxiliaryLoss. Received: {value!r}"
        )
    return found


@keras.utils.register_keras_serializable("tfrec_fusion")
class CatalogueSoftmax(Objective):
    """`MultiTargetSoftmax` over the candidates; on pairs `InBatchSoftmax` over the batch's items.

    On pairs it never stores all scores, and weights an item by its number of occurrences.

    Of graded labels it is the cross entropy of ListNet (Cao et al., ICML 2007): the mean over a
    row's targets is weighted by their gains `2^l - 1`.

    Args:
      matmul_dtype: matmul dtype of the softmax on pairs, see `InBatchSoftmax`.
    """

    compares = True

    def __init__(self, matmul_dtype: str = "float32", **kwargs):
        super().__init__(**kwargs)
        self.matmul_dtype = matmul_dtype

    def call(self, y_true, y_pred):
        mass = None if y_true.label is None else y_true.gains(y_pred)
        return MultiTargetSoftmax().rows(y_pred, y_true.target, y_true.masked, y_true.log_q, mass)

    def of_vectors(self, targets, users, items, weight=None):
        return batch_softmax(targets, users, items, weight, self.matmul_dtype)

    def of_candidates(self, targets, users, items, weight=None):
        return blocked_softmax(
            users,
            items,
            targets.log_q,
            weight,
            block_size=1024,
            matmul_dtype=self.matmul_dtype,
            positive_index=targets.target[:, 1],
        )

    def get_config(self):
        return super().get_config() | {"matmul_dtype": self.matmul_dtype}


@keras.utils.register_keras_serializable("tfrec_fusion")
class CatalogueSquared(Objective):
    """`NormalisedSquared` over the warm candidates, for autoencoder examples."""

    def call(self, y_true, y_pred):
        return NormalisedSquared().rows(y_pred, y_true.target, y_true.seen)

    def check(self, model, batch: Mapping[str, tf.Tensor]):
        if "self_pairs" not in batch:
            raise InputError(
                f"{model}: loss='normalised_squared' needs examples='autoencoder'. "
                f"Received: {sorted(batch)}"
            )
