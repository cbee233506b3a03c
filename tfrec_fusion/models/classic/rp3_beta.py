"""RP3beta, random walks over the graph of users and items."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from pydantic import Field, PositiveFloat, PositiveInt

from tfrec_fusion.models.classic.classic_model import ClassicModel
from tfrec_fusion.models.classic.cold_options import ColdOptions
from tfrec_fusion.models.classic.item_item import ItemItem
from tfrec_fusion.models.classic.neighbours import item_neighbours


class RP3BetaConfig(ColdOptions):
    """Options of `RP3Beta`, in addition to `ColdOptions`.

    Attributes:
      k: number of items to keep that a walk from each item reaches.
      alpha: exponent of the transition probabilities, above 0.
      beta: exponent of an item's number of users, by which its score is divided; 0 for P3alpha.
    """

    k: PositiveInt = 100
    alpha: PositiveFloat = 0.5
    beta: float = Field(0.4, ge=0, allow_inf_nan=False)


class RP3Beta(ClassicModel):
    """RP3beta: the chance that a walk item -> user -> item from the history ends at a candidate.

    From item i of the history the walk goes to one of its users and on to one of their items j:
    `W_ij = sum_u (1 / users of i)^alpha (1 / items of u)^alpha / (users of j)^beta`, and a
    candidate scores the sum over the history (Paudel et al. 2016,
    https://doi.org/10.1145/2955101; P3alpha of Cooper et al. 2014 with `beta=0`). The first step,
    user -> history, has the same factor for all candidates and is left out. Each item keeps the
    `k` largest `W_ij`.

    Args:
      **options: see `RP3BetaConfig`.

    Raises:
      InputError: an invalid option.

    Example:
      >>> model = RP3Beta(beta=0.5).fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    Config = RP3BetaConfig

    @property
    def name(self) -> str:
        return "P3alpha" if self.config.beta == 0 else "RP3beta"

    def fitted(self, train) -> ItemItem:
        config, matrix = self.config, train.matrix()
        items, users = np.diff(matrix.indptr), np.bincount(matrix.indices, None, matrix.shape[1])
        of_user = np.maximum(items, 1.0) ** -config.alpha
        of_item = np.maximum(users, 1.0) ** -config.alpha
        to_user = (scipy.sparse.diags_array(of_item) @ matrix.T).astype(np.float32).tocsr()
        to_item = scipy.sparse.diags_array(of_user) @ matrix
        to_item = to_item @ scipy.sparse.diags_array(np.maximum(users, 1.0) ** -config.beta)
        to_item = to_item.astype(np.float32).tocsr()

        def reached(part: slice) -> np.ndarray:
            return (to_user[part] @ to_item).toarray()

        return ItemItem(item_neighbours(reached, matrix.shape[1], config.k))
