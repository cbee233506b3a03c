"""The spectral model: a closed-form linear model of purchases, dislikes and text."""

from __future__ import annotations

from typing import Any

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from tfrec_fusion.data import Interactions
from tfrec_fusion.embeddings import SpectralVectors
from tfrec_fusion.models.classic.classic_model import ClassicModel, Options
from tfrec_fusion.models.classic.item_vectors import ItemVectors
from tfrec_fusion.models.classic.spectral_choice import chosen_fusion
from tfrec_fusion.models.classic.text_vectors import text_vectors


class SpectralOptions(Options):
    """Options of a spectral decomposition of events; see `embeddings.SpectralFusion`.

    Attributes:
      vectors: name of the catalogue's text vectors; None takes the first ones, if there are any.
      regularization, popularity_power: None chooses on a held-out tenth of the events.
      text_weight: 0 ignores text.
      user_power: larger values damp users of many events.
      dislike_weight: of disliked items as rows of their own, events with a `label` of 0 or less;
        None chooses between .6 and 0 on the held-out tenth.
      seed: of the held-out tenth and of the randomised decomposition.
    """

    vectors: str | None = None
    regularization: PositiveFloat | None = None
    text_weight: float = Field(default=20.0, ge=0)
    user_power: float = 0.25
    popularity_power: float | None = None
    dislike_weight: float | None = Field(default=None, ge=0)
    seed: NonNegativeInt = 0


class SpectralConfig(SpectralOptions):
    """Options of `Spectral`.

    Attributes:
      dim: length of the vectors.
      dislike_penalty: weight with which a user's disliked items count against what is like them,
        where dislikes have a weight above 0.
    """

    dim: PositiveInt = 1024
    dislike_penalty: float = Field(default=0.2, ge=0)


class Spectral(ClassicModel):
    """Item vectors from a regularised decomposition of purchases and text, without training.

    `embeddings.SpectralFusion` gives each item a vector v and a weight; a user is the normalised
    sum of the weighted vectors of the history, less `dislike_penalty` times those of disliked
    items, and the score of an item is its dot product with the user. At full rank these are the
    scores of ridge regression. How strongly it is regularised depends on the data, so it is chosen
    on a held-out tenth of the training events. Items without events score by their text.

    Args:
      **options: see `SpectralConfig`.

    Raises:
      InputError: an invalid option, or an unknown vector store.

    Example:
      >>> model = Spectral(dim=16).fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    Config = SpectralConfig
    reads_dislikes = True

    @property
    def name(self) -> str:
        return "spectral"

    def fitted(self, train) -> ItemVectors:
        config: Any = self.config
        options = config.model_dump(exclude={"dim", "dislike_penalty"})
        found, penalty = spectral_vectors(
            train, SpectralOptions(**options), config.dim, config.dislike_penalty
        )
        return ItemVectors(found.vectors, found.weights, penalty)


def spectral_vectors(
    train: Interactions, options: SpectralOptions, dim: int, dislike_penalty: float = 0.0
) -> tuple[SpectralVectors, float]:
    """Decomposes training events, and returns the vectors and the penalty of dislikes.

    Args:
      train: training events; those with a `label` of 0 or less are dislikes.
      options: of the decomposition.
      dim: length of the vectors.
      dislike_penalty: the penalty returned if dislikes have a weight above 0.

    Raises:
      InputError: an unknown vector store.
    """
    values: dict[str, Any] = options.model_dump() | {"dim": dim}
    name = values.pop("vectors")
    text, mask = None, None
    if options.text_weight > 0:
        if name is not None:
            text, mask = text_vectors(train.positives(), name, "spectral")
        elif stores := list(train.catalogue.vectors.values()):
            text, mask = stores[0].values, stores[0].mask
    disliked = train.disliked()
    some = disliked if disliked.nnz else None
    fusion = chosen_fusion(values, train.matrix(), text, mask, some, dislike_penalty)
    found = fusion.fit(train.matrix(), text, mask, some)
    used = some is not None and fusion.dislike_weight > 0
    return found, dislike_penalty if used else 0.0
