"""The base class of rerankers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue
from tfrec_fusion.features.state import State


class Reranker(ABC):
    """Turns a ranked list into another one, in the graph of an export.

    A reranker may reorder items, drop them and change their scores. Several run one after the
    other, each on the output of the previous one. They run after filters, boosts and caps, and
    before pins.

    Attributes:
      candidates: least number of best items in its input, whatever k is.

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
        """Stores what it needs of the items at the export, as variables.

        Args:
          catalogue: the items, with their columns as of the export.
          state: state of the exported events.
        """

    @abstractmethod
    def __call__(
        self, rows: tf.Tensor, scores: tf.Tensor, request: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Reranks a batch of lists.

        Args:
          rows: `[B, C]` int32 item rows, best first; -1 pads the end.
          scores: `[B, C]` float32; the lowest finite float32 in the padding.
          request: the inputs of `recommend` by name, as TF Serving receives them.

        Returns:
          Item rows `[B, any]` int32, best first, -1 for none, and their scores. Items that the
          request may not get, and repeated items, are removed afterwards.
        """
