"""Items whose text is like the user's history."""

import numpy as np

from tfrec_fusion.embeddings import Whitening
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.models.classic.classic import Baseline, Scorer, histories, text_vectors


class TextMean(Baseline):
    """Cosine between an item's whitened text vector and the mean of the user's history.

    Vectors are whitened on the training items (`tfrec_fusion.embeddings.Whitening`), then brought
    to unit length; a missing vector is 0, so such items score 0 for everybody. No training, no ids:
    what text alone can do, and the reference on cold items.

    Args:
      vectors: name of a vector store of the catalogue.
      dims: of the whitened vectors; no more than the store has.

    Raises:
      InputError: `dims` below 1 or too large, or an unknown store.

    Example:
      >>> evaluate(TextMean(vectors="text").fit(split.train), split)  # doctest: +SKIP
    """

    name = "text mean"

    def __init__(self, vectors: str = "text", dims: int = 128):
        super().__init__()
        if dims < 1:
            raise InputError(f"TextMean: dims must be at least 1. Received: {dims}")
        self.vectors = vectors
        self.dims = dims

    def _fit(self, train) -> None:
        values, mask = text_vectors(train, self.vectors, "TextMean")
        warm = np.unique(train.item[mask[train.item]])
        whitening = Whitening(dim=self.dims, unit=True).fit(values, rows=warm)
        self._items = whitening.transform(values, mask)

    def _scorer(self, state: State) -> Scorer:
        matrix = state.matrix

        def score(users: np.ndarray) -> np.ndarray:
            mean = histories(matrix, users) @ self._items
            mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
            return mean @ self._items.T

        return score
