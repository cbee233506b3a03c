"""The features that requests may give, for scorers and exports."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import tf
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.features.state import State
from tfrec_fusion.models.towers.user_features import USER_FIELDS, UserFeatures
from tfrec_fusion.signature import Tensor


class RequestFeatures(tf.Module):
    """Computes the features of users, from a state and from what a request gives.

    Args:
      users: the features of users; None if the model reads none.
    """

    def __init__(self, users: UserFeatures | None):
        super().__init__(name="request_features")
        self.users = users

    @classmethod
    def of(cls, spec: DataSpec, state: State, requests: bool = False) -> RequestFeatures | None:
        """The features as of a state; None if the model reads none.

        Args:
          spec: the spec of the model.
          state: gives the features of its users.
          requests: whether requests may give features.
        """
        users = UserFeatures.of(spec, state, requests)
        return None if users is None else cls(users)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs of a request."""
        return self.users.encoder.inputs

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """Input name -> the texts that training knows, for those with a vocabulary."""
        return self.users.encoder.choices

    def __call__(
        self,
        users: tf.Tensor,
        given: Mapping[str, tf.Tensor] | None = None,
        hide_users: bool = False,
    ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Returns the arguments of `TwoTower.user_vectors`: encoded categories and numbers.

        Args:
          users: `[B]` int32 rows, -1 unknown.
          given: input name -> tensor of B requests; None gives nothing.
          hide_users: whether nothing is known of the users.
        """
        if hide_users:
            return {"user_features": self.users(-tf.ones_like(users))}
        return {"user_features": self.users(users, given)}

    def fields(
        self, users: tf.Tensor, given: Mapping[str, tf.Tensor] | None = None
    ) -> dict[str, tf.Tensor]:
        """Returns the same as fields of a batch of a `Ranker`."""
        return dict(zip(USER_FIELDS, self(users, given)["user_features"], strict=True))
