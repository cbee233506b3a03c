"""Text-similarity baseline."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

from tfrec_fusion.embeddings import Whitening
from tfrec_fusion.models.classic.classic_model import ClassicModel, Options
from tfrec_fusion.models.classic.item_vectors import ItemVectors
from tfrec_fusion.models.classic.text_vectors import text_vectors


class TextMeanConfig(Options):
    """Options of `TextMean`.

    Attributes:
      vectors: name of a vector store of the catalogue.
      dims: number of whitened dimensions, at most those of the store.
    """

    vectors: str = "text"
    dims: PositiveInt = 128


class TextMean(ClassicModel):
    """Scores by the cosine of an item's whitened text vector and the mean of the user's history.

    Whitening is fitted on the training items (`tfrec_fusion.embeddings.Whitening`), then vectors
    are scaled to unit length. A missing vector is 0, so such items score 0 for all users. It uses
    neither training nor ids: it shows what text alone can do, and is the reference on cold items.

    Args:
      **options: see `TextMeanConfig`.

    Raises:
      InputError: an invalid option, or the store of `fit` is missing or has fewer dimensions.

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
