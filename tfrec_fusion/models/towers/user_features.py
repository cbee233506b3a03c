"""Encoded features of all users, for scorers and exports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.kinds.cross import Cross
from tfrec_fusion.features.request_encoder import RequestEncoder, is_given
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.features.state import State

USER_FIELDS = ("user_categories", "user_numbers")
"""Fields of a batch that replace the features stored in a `Ranker`."""


PREFIX = "user_"
"""Of the inputs of a request that give features of users."""


class UserFeatures(tf.Module):
    """Looks up the encoded features of user rows; a request may give others.

    Args:
      categories: `[n_users, width]` int32, as `features.Side.encode` returns them.
      numbers: `[n_users, n_numbers]` float32.
      encoder: encodes the features of requests; None if they give none.
      texts: column of a combination -> the users' texts `[n_users]`, "" for missing, of which a
        request may give others.
      missing: encoded features `[1, ...]` of a user without any value, for unknown users of whom a
        request gives some features.
    """

    def __init__(
        self,
        categories: np.ndarray,
        numbers: np.ndarray,
        encoder: RequestEncoder | None = None,
        texts: Mapping[str, np.ndarray] | None = None,
        missing: tuple[np.ndarray, np.ndarray] | None = None,
    ):
        super().__init__(name="user_features")
        self.encoder: Any = encoder
        self.texts = {
            column: tf.Variable(np.append(values, ["", ""]), trainable=False, dtype=tf.string)
            for column, values in (texts or {}).items()
        }
        nobody = (
            np.full((1, categories.shape[1]), -1, np.int32),
            np.zeros((1, numbers.shape[1]), np.float32),
        )
        more = list(zip(nobody, nobody if missing is None else missing, strict=True))
        self.categories = tf.Variable(
            np.concatenate([categories, *more[0]]),
            trainable=False,
            name="user_categories",
        )
        self.numbers = tf.Variable(
            np.concatenate([numbers, *more[1]]), trainable=False, name="user_numbers"
        )

    @classmethod
    def of(cls, spec: DataSpec, state: State, requests: bool = False) -> UserFeatures | None:
        """The features of a state's users; None if the model reads none.

        Args:
          spec: the spec of the model.
          state: the state.
          requests: whether requests may give features.
        """
        side = spec.user_side
        if side is None:
            return None
        found = state.user_features(side)
        if not requests:
            return cls(*found)
        crossed = [c for one in side.features if isinstance(one, Cross) for c in one.of]
        texts = {column: state.user_texts(column) for column in dict.fromkeys(crossed)}
        missing = side.encode(state.events.user_table.rows_of([""]))
        return cls(*found, RequestEncoder(side, PREFIX), texts, missing)

    def __call__(
        self, users, given: Mapping[str, tf.Tensor] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns categories `[B, width]` and numbers `[B, n_numbers]` of rows, -1 unknown.

        Args:
          users: `[B]` int32 rows.
          given: the inputs of `encoder` in a request; features that are not given keep the stored
            values. None gives none.
        """
        absent = tf.shape(self.numbers)[0] - 2
        if given:
            some = tf.reduce_any(tf.stack([is_given(value) for value in given.values()]), 0)
            absent += tf.cast(some, tf.int32)
        rows = tf.where(users < 0, absent, users)
        stored = tf.gather(self.categories, rows), tf.gather(self.numbers, rows)
        if given is None:
            return stored
        return self.encoder.override(self._completed(rows, given), stored)

    def _completed(self, rows, given: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The given inputs, with the stored texts of combinations of which others are given."""
        found = dict(given)
        for name, column in self.encoder.names.items():
            if column in self.texts and given[name].dtype == tf.string:
                stored = tf.gather(self.texts[column], rows)
                found[name] = tf.where(given[name] != "", given[name], stored)
        return found
