"""Interface of the scoring graphs that score the items of a request in a context."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.models.towers.event_features import EventFeatures
from tfrec_fusion.signature import Tensor


class RowServing(tf.Module, ABC):
    """Scoring graph of a model: from rows of users and items to the scores of their pairs.

    As for `CatalogueServing`, it may read only variables of this module or of objects that
    `answers` calls.

    Attributes:
      outputs: what it answers: "score" `[B, N]`, "probability" `[B, N]` if it predicts one, and any
        others.
      reads_users, reads_history: whether it reads user rows and histories.
      reads_ages: whether it reads the ages of a history in days, which requests may then give.
      history_length: number of most recent history items that it reads.
      requested: the features that requests may give; None if the model reads none.
      events: the features of the events of the stored histories; None if the model reads none.
    """

    requested: RequestFeatures | None = None
    events: EventFeatures | None = None

    outputs: tuple[Tensor, ...]
    reads_users: bool
    reads_history: bool
    reads_ages = False
    history_length: int

    @abstractmethod
    def answers(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Computes the `outputs` by name.

        Args:
          inputs: "item" `[B, N]` int32, -1 unknown; if the model reads them, "user" `[B]` int32,
            and "history" `[B, L]` int32, padded with -1, with "history_age" `[B, L]` float32 days
            and, with `events`, "history_event" `[B, L]` int32 rows of them, -1 unknown. Encoded
            features, by the names of `RequestFeatures.fields`, replace the stored ones.
        """
