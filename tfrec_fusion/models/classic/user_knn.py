"""User-based k-nearest neighbours."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt

from tfrec_fusion.models.classic.classic_model import ClassicModel
from tfrec_fusion.models.classic.cold_options import ColdOptions
from tfrec_fusion.models.classic.item_knn import inverse_frequency
from tfrec_fusion.models.classic.user_user import UserUser


class UserKNNConfig(ColdOptions):
    """Options of `UserKNN`, in addition to `ColdOptions`.

    Attributes:
      k: number of neighbours of a history.
      similarity: "cosine", or "tf_idf" to weight an item by `log(users / (1 + users of it))^2`.
      shrinkage: 0 or more, lowers similarities that few items support.
    """

    k: PositiveInt = 100
    similarity: Literal["cosine", "tf_idf"] = "cosine"
    shrinkage: float = Field(0.0, ge=0, allow_inf_nan=False)


class UserKNN(ClassicModel):
    """User-based kNN: scores a candidate by the similarities of the nearest users who took it.

    The neighbours of a history are the `k` training users with the largest cosine,
    `|items of both| / (sqrt(|items of u| |items of v|) + shrinkage)` (Herlocker et al. 1999), or
    its TF-IDF-weighted form. It needs only a history: an exported model compares a requested or
    newer history with all training users. Training users who took nothing else, e.g. the user's
    own former self, are no neighbours, as they can recommend nothing new; if repeated events
    count, they are.

    Args:
      **options: see `UserKNNConfig`.

    Raises:
      InputError: an invalid option.

    Example:
      >>> model = UserKNN(k=20).fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    Config = UserKNNConfig

    @property
    def name(self) -> str:
        return "user-kNN" if self.config.similarity == "cosine" else "user-kNN, TF-IDF"

    def fitted(self, train) -> UserUser:
        config, matrix = self.config, train.matrix()
        weights = np.ones(matrix.shape[1])
        if config.similarity == "tf_idf":
            weights = inverse_frequency(matrix.T.tocsr()) ** 2
        once = train.repeats == "first"
        return UserUser(matrix, weights, config.k, config.shrinkage, once)
