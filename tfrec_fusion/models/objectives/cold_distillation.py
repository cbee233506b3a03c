"""Distillation of scores into those without item ids, as a term of a loss."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.objectives.auxiliary import distillation_loss
from tfrec_fusion.models.objectives.auxiliary_loss import AuxiliaryLoss


@keras.utils.register_keras_serializable("tfrec_fusion")
class ColdDistillation(AuxiliaryLoss):
    """`Distillation` of a model's scores into its scores with item ids hidden, for cold items.

    It needs the candidates of `as_of`, `held_out` or `autoencoder` examples; see
    `distillation_loss`.

    Args:
      temperature: of `Distillation`.

    Raises:
      InputError: the temperature is not positive.

    Example:
      >>> model = tff.models.TwoTower(split.train, dim=8)
      >>> terms = {"collaborative": "softmax", "cold": ColdDistillation()}
      >>> model.compile(loss=terms, loss_weights={"cold": 0.5})
    """

    def __init__(self, temperature: float = 1.0):
        if not temperature > 0:
            raise InputError(
                f"ColdDistillation: temperature must be positive. Received: {temperature!r}"
            )
        self.temperature = temperature

    def of_model(self, model, batch):
        return distillation_loss(model, batch, self.temperature)

    def prepare(self, model):
        if not (model.config.use_ids and model.spec.vector_dims):
            raise InputError(
                "distillation is from scores with ids into scores without, so the model needs ids "
                f"and vectors. Received: use_ids={model.config.use_ids}, "
                f"vectors={list(model.spec.vector_dims)}"
            )

        if model.interests > 1:
            raise InputError(
                "distillation compares the scores of one vector of a user; leave it out. "
                f"Received: {model.interests} vectors"
            )

    def check(self, model, batch):
        if "target" not in batch:
            raise InputError(
                f"{model}: distillation needs the candidates of a user, which pairs and sequences "
                "do not have; train on examples='as_of', 'held_out' or 'autoencoder'. "
                f"Received: {sorted(batch)}"
            )

    def get_config(self):
        return {"temperature": self.temperature}
