"""Implicit alternating least squares."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from tfrec_fusion.features.state import State
from tfrec_fusion.models.classic.classic_model import ClassicModel
from tfrec_fusion.models.classic.cold_options import ColdOptions
from tfrec_fusion.models.classic.folded_factors import FoldedFactors
from tfrec_fusion.models.classic.least_squares import solved_rows
from tfrec_fusion.progress import WorkProgress


class IALSConfig(ColdOptions):
    """Options of `IALS`, in addition to `ColdOptions`.

    Attributes:
      dim: length of the vectors.
      epochs: number of sweeps over users and items.
      unobserved_weight: weight of every pair, observed or not, relative to an observed one.
      l2: regularisation, above 0.
      l2_exponent: how much regularisation grows with the number of events: 1 in proportion, 0 not
        at all.
      initial_scale: standard deviation of the initial vectors times the root of `dim`.
      seed: of the initial vectors.
    """

    dim: PositiveInt = 64
    epochs: PositiveInt = 10
    unobserved_weight: PositiveFloat = 0.05
    l2: PositiveFloat = 0.02
    l2_exponent: float = Field(1.0, ge=0, le=2)
    initial_scale: PositiveFloat = 0.1
    seed: NonNegativeInt = 0


class IALS(ClassicModel):
    """Matrix factorisation of implicit feedback by alternating least squares (iALS).

    It minimises `sum_(observed u, i) (x_u v_i - 1)^2 + a sum_(all u, i) (x_u v_i)^2 +
    l2 (sum_u (n_u + a items)^e |x_u|^2 + sum_i (n_i + a users)^e |v_i|^2)`, with n events of a
    user or item, `a = unobserved_weight` and `e = l2_exponent`, by exact solutions for users and
    items in turn (Hu, Koren and Volinsky 2008, with the regularisation of Rendle et al. 2022,
    https://arxiv.org/abs/2110.14037). The confidence c of an observed pair in the form of Hu et
    al. is `a = 1 / (c - 1)`, their regularisation `l2 c` with `l2_exponent=0`. If repeated events
    count, each is an observation.

    Scoring solves the user's vector from the history, in exports too: it needs no user ids, and a
    requested or newer history gets its exact vector. An item without an event has the vector 0.

    Args:
      **options: see `IALSConfig`.

    Raises:
      InputError: an invalid option.

    Example:
      >>> model = IALS(dim=8, epochs=2).fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    Config = IALSConfig

    @property
    def name(self) -> str:
        return "iALS"

    def fitted(self, train) -> FoldedFactors:
        config = self.config
        by_user = scipy.sparse.csr_array(State.of(train).matrix)
        by_item = by_user.T.tocsr()
        n_users, n_items = by_user.shape
        user_ridge, item_ridge = (
            config.l2
            * (np.asarray(matrix.sum(1), np.float64) + config.unobserved_weight * others)
            ** config.l2_exponent
            for matrix, others in ((by_user, n_items), (by_item, n_users))
        )
        rng, scale = np.random.default_rng(config.seed), config.initial_scale / config.dim**0.5
        items = rng.normal(0, scale, (n_items, config.dim)).astype(np.float32)
        with WorkProgress("iALS:", config.epochs, "epochs", tell_end=False) as progress:
            for _ in range(config.epochs):
                users = solved_rows(by_user, items, self._gram(items), user_ridge)
                items = solved_rows(by_item, users, self._gram(users), item_ridge)
                progress.advance()
        unobserved = config.unobserved_weight * n_items
        return FoldedFactors(items, self._gram(items), config.l2, unobserved, config.l2_exponent)

    def _gram(self, vectors: np.ndarray) -> np.ndarray:
        return np.float32(self.config.unobserved_weight) * (vectors.T @ vectors)
