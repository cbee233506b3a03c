"""Encoded features of the events of all histories, for scorers and exports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import History
from tfrec_fusion.features.history_events import unknown_event
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.features.state import State


class EventFeatures(tf.Module):
    """Looks up the encoded features of the events of a state's histories.

    Events that are encoded alike share a row of the tables, e.g. one for each rating.

    Args:
      histories: the histories of all users.
      categories: `[n_events, width]` int32, as `State.event_features` returns them.
      numbers: `[n_events, n_numbers]` float32.
      unknown: categories `[1, width]` and numbers `[1, n_numbers]` of an event of which nothing is
        known.

    Attributes:
      histories: the histories, with the rows of their events.
    """

    def __init__(
        self,
        histories: History,
        categories: np.ndarray,
        numbers: np.ndarray,
        unknown: tuple[np.ndarray, np.ndarray],
    ):
        super().__init__(name="event_features")
        # Equal bits, as a sort of columns would cost more.
        whole = np.concatenate([categories.astype("<i4"), numbers.astype("<f4").view("<i4")], 1)
        keys = np.ascontiguousarray(whole).view(np.dtype((np.void, 4 * whole.shape[1])))[:, 0]
        _, first, rows = np.unique(keys, return_index=True, return_inverse=True)
        self.histories = replace(histories, events=rows.astype(np.int32))
        self.categories = tf.Variable(
            np.concatenate([categories[first], unknown[0]]), False, name="event_categories"
        )
        self.numbers = tf.Variable(
            np.concatenate([numbers[first], unknown[1]]), False, name="event_numbers"
        )

    @classmethod
    def of(cls, spec: DataSpec, state: State) -> EventFeatures | None:
        """The features of the events of a state's histories; None if the model reads none."""
        side = spec.event_side
        if side is None:
            return None
        return cls(state.histories, *state.event_features(side), unknown_event(side))

    def __call__(self, rows) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns categories `[..., width]` and numbers `[..., n_numbers]` of rows, -1 unknown."""
        rows = tf.where(rows < 0, tf.shape(self.numbers)[0] - 1, rows)
        return tf.gather(self.categories, rows), tf.gather(self.numbers, rows)

    def flat(self, users: np.ndarray) -> np.ndarray:
        """Returns rows `[H]` int32 of the events of `State.flat_histories`."""
        return np.asarray(self.histories.take(users).events)

    def padded(self, users: np.ndarray, length: int) -> np.ndarray:
        """Returns rows `[B, length]` int32 of the events of `State.padded_histories`, -1 padded."""
        chosen = self.histories.take(users, length)
        rows = np.full((len(users), length), -1, np.int32)
        owner = np.repeat(np.arange(len(users)), chosen.lengths)
        column = np.arange(len(owner)) - np.repeat(chosen.splits[1:], chosen.lengths) + length
        rows[owner, column] = chosen.events
        return rows
