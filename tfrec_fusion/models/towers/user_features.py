"""Encoded features of all users, for scorers and exports."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.features.state import State

USER_FIELDS = ("user_categories", "user_numbers")
"""Fields of a batch that replace the features stored in a `Ranker`."""


class UserFeatures(tf.Module):
    """Looks up the encoded features of user rows.

    Args:
      categories: `[n_users, width]` int32, as `features.Side.encode` returns them.
      numbers: `[n_users, n_numbers]` float32.
    """

    def __init__(self, categories: np.ndarray, numbers: np.ndarray):
        super().__init__(name="user_features")
        unknown = np.full((1, categories.shape[1]), -1, np.int32)
        nothing = np.zeros((1, numbers.shape[1]), np.float32)
        self.categories = tf.Variable(
            np.concatenate([categories, unknown]), trainable=False, name="user_categories"
        )
        self.numbers = tf.Variable(
            np.concatenate([numbers, nothing]), trainable=False, name="user_numbers"
        )

    @classmethod
    def of(cls, spec: DataSpec, state: State) -> UserFeatures | None:
        """The features of a state's users; None if the model reads none."""
        side = spec.user_side
        return None if side is None else cls(*state.user_features(side))

    def named(self, users) -> dict[str, tf.Tensor]:
        """Returns the same as fields of a batch, for a `Ranker`."""
        return dict(zip(USER_FIELDS, self(users), strict=True))

    def __call__(self, users) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns categories `[B, width]` and numbers `[B, n_numbers]` of rows, -1 unknown."""
        rows = tf.where(users < 0, tf.shape(self.numbers)[0] - 1, users)
        return tf.gather(self.categories, rows), tf.gather(self.numbers, rows)
