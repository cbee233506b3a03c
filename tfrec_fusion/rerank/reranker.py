"""What reorders the best items of a request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue
from tfrec_fusion.features.state import State


class Reranker(ABC):
    """From a ranked list to another one, in the graph of an export.

    It may reorder, leave out and score anew. Several follow one another, each with what the one
    before it gives. They come after filters, boosts and caps and before pins.

    Attributes:
      candidates: how many of the best it wants to see at least, whatever k is.

    Example:
      >>> class LongestFirst(Reranker):
      ...     def fit(self, catalogue, state):
      ...         minutes = catalogue.frame["minutes"].to_numpy("float32")
      ...         self.minutes = tf.Variable(minutes, trainable=False)
      ...
      ...     def __call__(self, rows, scores, request):
      ...         scores = tf.gather(self.minutes, tf.maximum(rows, 0))
      ...         order = tf.argsort(tf.where(rows < 0, -1.0, scores), direction="DESCENDING")
      ...         return tuple(tf.gather(one, order, batch_dims=1) for one in (rows, scores))
      >>> # export(model, events, "saved_models/shop", rerank=[LongestFirst()])
    """

    candidates: int = 100

    def fit(self, catalogue: Catalogue, state: State) -> None:  # noqa: B027
        """Takes what it needs of the items as of the export, as variables.

        Args:
          catalogue: the items, with their columns as of the export.
          state: the events that are exported.
        """

    @abstractmethod
    def __call__(
        self, rows: tf.Tensor, scores: tf.Tensor, request: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Another list.

        Args:
          rows: `[B, C]` int32 of items, best first, -1 where there is none.
          scores: `[B, C]` float32, the lowest finite float32 where there is none.
          request: the inputs of `recommend` by name, as TF Serving gets them.

        Returns:
          Rows `[B, any]` int32, best first, -1 for none, and their scores. Of an item that the
          request may not get, or that the list has already, nothing comes back.
        """
