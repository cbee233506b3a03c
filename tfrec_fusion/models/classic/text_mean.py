"""Items whose text is like the user's history."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

from tfrec_fusion.embeddings import Whitening
from tfrec_fusion.models.classic.classic_model import ClassicModel, Options
from tfrec_fusion.models.classic.item_vectors import ItemVectors
from tfrec_fusion.models.classic.text_vectors import text_vectors


class TextMeanConfig(Options):
    """The options of `TextMean`.

    Attributes:
      vectors: name of a vector store of the catalogue.
      dims: of the whitened vectors; no more than the store has.
    """

    vectors: str = "text"
    dims: PositiveInt = 128


class TextMean(ClassicModel):
    """Cosine between an item's whitened text vector and the mean of the user's history.

    Vectors are whitened on the training items (`tfrec_fusion.embeddings.Whitening`), then brought
    to unit length; a missing vector is 0, so such items score 0 for everybody. No training, no ids:
    what text alone can do, and the reference on cold items.

    Args:
      **options: see `TextMeanConfig`.

    Raises:
      InputError: a bad option, or `fit` finds no such store or one of fewer dimensions.

    Example:
      >>> model = TextMean(vectors="text", dims=4).fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    Config = TextMeanConfig

    @property
    def name(self) -> str:
        return "text mean"

    def fitted(self, train) -> ItemVectors:
        values, mask = text_vectors(train, self.config.vectors, "TextMean")
        warm = np.unique(train.item[mask[train.item]])
        whitening = Whitening(dim=self.config.dims, unit=True).fit(values, rows=warm)
        return ItemVectors(whitening.transform(values, mask))
