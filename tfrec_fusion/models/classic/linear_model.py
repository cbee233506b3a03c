"""Base class of the linear item-item models."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import scipy.sparse

from tfrec_fusion.data import Interactions
from tfrec_fusion.models.classic.classic_model import ClassicModel
from tfrec_fusion.models.classic.item_item import ItemItem
from tfrec_fusion.models.classic.linear_options import LinearOptions
from tfrec_fusion.models.classic.transitions import transitions
from tfrec_fusion.models.classic.unit_text import unit_text
from tfrec_fusion.times import DAY

_BLOCK = 1024  # rows of a dense matrix to add to at a time
Weights = np.ndarray | scipy.sparse.csr_array


class LinearModel(ClassicModel):
    """Base of models whose weights between items minimise a squared error.

    The training matrix X holds 1 for each user-item pair, or `2^(-days / event_half_life_days)` by
    the age of the pair's latest event at the last event of all.

    A user with history weights h, see `HistoryDecay`, gets the scores
    `(h (B + transition_weight T)) f` with the weights B of `solved`, the transitions T of
    `transitions`, and the factors f of `TrendFactor`, which are computed from the events that are
    scored or exported. Without these options a score is the sum of the weights of the history.

    Args:
      **options: see `Config`, a subclass of `LinearOptions`.
    """

    Config = LinearOptions

    @property
    def name(self) -> str:
        config, name = self.config, type(self).__name__
        if config.vectors is not None:
            name = f"{name} + {config.vectors}"
        return f"{name} x trend" if config.trend is not None else name

    @abstractmethod
    def solved(self, matrix: scipy.sparse.csr_matrix, text: np.ndarray | None) -> Weights:
        """Returns the weights `[n_items, n_items]` float32 from history item to candidate.

        Args:
          matrix: the training matrix X, `[n_users, n_items]` float32.
          text: the unit text vectors `[n_items, d]` float32; None without text.
        """

    def fitted(self, train) -> ItemItem:
        config, owner = self.config, type(self).__name__
        config.check_order(owner, train)
        text = None
        if config.vectors is not None:
            text = unit_text(train, config.vectors, config.dims, owner)
        matrix = train.matrix()
        if config.event_half_life_days is not None:
            matrix = _decayed(train, config.event_half_life_days)
        weights = self.solved(matrix, text)
        if config.transition_weight:
            weights = _sum(weights, np.float32(config.transition_weight) * transitions(train))
        most_gib = getattr(config, "most_gib", 1.0)
        return ItemItem(weights, most_gib, config.decay, config.trend)


def _decayed(train: Interactions, half_life_days: float) -> scipy.sparse.csr_matrix:
    histories = train.histories()
    shape = (len(train.users), len(train.catalogue))
    users = np.repeat(np.arange(shape[0]), histories.lengths)
    # The latest event of a pair is the first one from the end.
    _, place = np.unique((users * shape[1] + histories.items)[::-1], return_index=True)
    latest = len(users) - 1 - place
    times = histories.event_times
    days = (times.max(initial=0.0) - times[latest]) / DAY
    values = np.exp2(-days / half_life_days).astype(np.float32)
    return scipy.sparse.csr_matrix((values, (users[latest], histories.items[latest])), shape)


def _sum(weights: Weights, more: scipy.sparse.csr_matrix) -> Weights:
    if scipy.sparse.issparse(weights):
        return scipy.sparse.csr_array(weights + more)
    for start in range(0, len(weights), _BLOCK):
        weights[start : start + _BLOCK] += more[start : start + _BLOCK].toarray()
    return weights
