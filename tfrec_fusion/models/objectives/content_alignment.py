"""Alignment of item ids with item content, as a term of a loss."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.objectives.auxiliary import alignment_loss, content_view
from tfrec_fusion.models.objectives.auxiliary_loss import AuxiliaryLoss


@keras.utils.register_keras_serializable("tfrec_fusion")
class ContentAlignment(AuxiliaryLoss):
    """`InfoNCE` between the ids of a batch's targets and an MLP of their content.

    Source: RLMRec-Con (Ren et al., WWW 2024); see `alignment_loss`.

    Args:
      temperature: of `InfoNCE`.

    Raises:
      InputError: the temperature is not positive.

    Example:
      >>> model = tff.models.TwoTower(split.train, dim=8)
      >>> terms = {"collaborative": "softmax", "content": ContentAlignment(0.1)}
      >>> model.compile(loss=terms, loss_weights={"content": 0.05})
    """

    def __init__(self, temperature: float = 0.2):
        if not temperature > 0:
            raise InputError(
                f"ContentAlignment: temperature must be positive. Received: {temperature!r}"
            )
        self.temperature = temperature

    def of_model(self, model, batch):
        return alignment_loss(model, batch, self.temperature)

    def prepare(self, model):
        if not (model.config.use_ids and model.spec.vector_dims):
            raise InputError(
                "alignment compares ids with content, so the model needs ids and vectors. "
                f"Received: use_ids={model.config.use_ids}, vectors={list(model.spec.vector_dims)}"
            )
        if getattr(model, "content_view", None) is None:
            model.content_view = content_view(model.tower)

    def get_config(self):
        return {"temperature": self.temperature}
