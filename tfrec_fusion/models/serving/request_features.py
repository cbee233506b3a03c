"""The features that requests may give, for scorers and exports."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import tf
from tfrec_fusion.features.context import CONTEXT_FIELDS
from tfrec_fusion.features.request_encoder import RequestEncoder
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.features.state import State
from tfrec_fusion.models.towers.request_context import RequestContext
from tfrec_fusion.models.towers.user_features import USER_FIELDS, UserFeatures
from tfrec_fusion.signature import Tensor


class RequestFeatures(tf.Module):
    """Computes the features of users and requests, from a state and from what a request gives.

    Args:
      users: the features of users; None if the model reads none.
      context: the context of requests; None if the model reads none.
    """

    def __init__(self, users: UserFeatures | None, context: RequestContext | None = None):
        super().__init__(name="request_features")
        self.users, self.context = users, context

    @classmethod
    def of(cls, spec: DataSpec, state: State, requests: bool = False) -> RequestFeatures | None:
        """The features as of a state; None if the model reads none.

        Args:
          spec: the spec of the model.
          state: gives the features of its users and the time of requests.
          requests: whether requests may give features.
        """
        users, side = UserFeatures.of(spec, state, requests), spec.context_side
        context = None if side is None else RequestContext(side, state.time)
        return cls(users, context) if users or context else None

    @property
    def _encoders(self) -> list[RequestEncoder]:
        return [part.encoder for part in (self.users, self.context) if part is not None]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs of a request."""
        return tuple(tensor for one in self._encoders for tensor in one.inputs)

    @property
    def row_inputs(self) -> tuple[Tensor, ...]:
        """The inputs of a context without texts; see `RowEncoder`."""
        return () if self.context is None else self.context.row_encoder.inputs

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """Input name -> the texts that training knows, for those with a vocabulary."""
        return {name: texts for one in self._encoders for name, texts in one.choices.items()}

    def __call__(
        self,
        users: tf.Tensor,
        given: Mapping[str, tf.Tensor] | None = None,
        hide_users: bool = False,
        hide_context: bool = False,
    ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Returns the arguments of `TwoTower.user_vectors`: encoded categories and numbers.

        Args:
          users: `[B]` int32 rows, -1 unknown.
          given: input name -> tensor of B requests; None gives nothing.
          hide_users, hide_context: whether nothing is known of the users or of the requests.
        """
        found = {}
        if self.users is not None:
            own = None if given is None else _of(self.users.encoder, given)
            shown = (-tf.ones_like(users), None) if hide_users else (users, own)
            found["user_features"] = self.users(*shown)
        if self.context is not None:
            own = None if given is None else _of(self.context.encoder, given)
            found["context"] = self.context(tf.shape(users)[0], own, hide_context)
        return found

    def fields(
        self, users: tf.Tensor, given: Mapping[str, tf.Tensor] | None = None
    ) -> dict[str, tf.Tensor]:
        """Returns the same as fields of a batch of a `Ranker`."""
        return _fields(self(users, given))

    def fields_of_rows(
        self, users: tf.Tensor, given: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """Returns the same without texts: the stored features of users, and a context in rows.

        Args:
          users: `[B]` int32 rows, -1 unknown.
          given: the `row_inputs`.
        """
        found = {} if self.users is None else {"user_features": self.users(users)}
        if self.context is not None:
            found["context"] = self.context.of_rows(given)
        return _fields(found)


def _fields(found: Mapping[str, tuple[tf.Tensor, tf.Tensor]]) -> dict[str, tf.Tensor]:
    names = {"user_features": USER_FIELDS, "context": CONTEXT_FIELDS}
    return {n: v for kind, pair in found.items() for n, v in zip(names[kind], pair, strict=True)}


def _of(encoder: RequestEncoder, given: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {name: given[name] for name in encoder.names}
