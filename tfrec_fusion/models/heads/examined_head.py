"""Head for clicks that depend on the position where an item was shown."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.layers.checks import check_count
from tfrec_fusion.models.heads.binary_head import BinaryHead


@keras.utils.register_keras_serializable("tfrec_fusion")
class ExaminedHead(BinaryHead):
    """Predicts the probability of a click at the first position, whatever the position was.

    With the user and item x at position k it learns, by cross entropy,

        p(click) = p(seen | k) p(click | x, seen)

    and predicts, ranks by and exports the second factor, so that requests need no position. The
    first is one trained number a position, and 1 at the first. From PAL (Guo et al., RecSys 2019),
    where it is 1 nowhere: then only the product is determined.

    Args:
      position: the name of `Interactions.labels` that has the position, from 1; where it is
        missing, as of sampled negatives, an item counts as seen.
      positions: number of positions told apart; later ones count as the last.
      **options: see `BinaryHead`, without `given`.

    Example:
      >>> ExaminedHead(positions=3)(tf.ones([2, 3, 4])).shape
      TensorShape([2, 3])
    """

    def __init__(
        self,
        label=None,
        weight=1.0,
        negatives=None,
        loss=None,
        hidden=(),
        position: str = "position",
        positions: int = 10,
        **kwargs,
    ):
        super().__init__(label, weight, negatives, loss, hidden, **kwargs)
        if not isinstance(position, str):
            raise ValueError(f"position must be the name of a label. Received: {position!r}")
        check_count("positions", positions, least=2)
        self.position, self.positions = position, positions

    def build(self, input_shape):
        # Logits of all positions but the first.
        self.seen = self.add_weight("seen", [self.positions - 1], initializer="zeros")
        super().build(input_shape)

    def examples(self, batch, outputs, labels=None):
        return super().examples(batch, self.clicked(batch, outputs), labels)

    def lists(self, batch, outputs, labels=None):
        raise InputError(
            f"Ranker: the head learns p(seen) p(click | seen) by cross entropy, and its loss must "
            f"not compare lists; leave loss out, or use a binary head. Received: {self.name}"
        )

    def clicked(self, batch: Mapping[str, tf.Tensor], outputs: tf.Tensor) -> tf.Tensor:
        """Returns the logits of p(click) at the positions of a batch, in the shape of `outputs`.

        Raises:
          InputError: the batch has no positions.
        """
        field = f"label/{self.position}"
        if field not in batch:
            raise InputError(
                f"Ranker: the batches have no {field!r}; read the events with "
                f"labels=[{self.position!r}]. Received: {sorted(batch)}"
            )
        places = tf.reshape(tf.cast(batch[field], tf.float32), tf.shape(outputs))
        later = places > 1  # not where it is missing
        row = tf.cast(tf.where(later, tf.minimum(places, self.positions) - 2, 0.0), tf.int32)
        seen = tf.gather(self.seen, row)
        both = -tf.reduce_logsumexp(tf.stack([-seen, -outputs, -seen - outputs]), 0)
        return tf.where(later, both, outputs)

    def check_others(self, labels):
        if self.position not in labels:
            raise ValueError(
                f"position must be one of the events' labels; read them with "
                f"labels=[{self.position!r}]. Received: {self.position!r}, of {list(labels)}"
            )
        values = labels[self.position]
        known = values[~np.isnan(values)]
        wrong = known[(known < 1) | (known != np.floor(known))]
        if len(wrong) or not len(known):
            raise ValueError(
                f"position {self.position!r} must hold whole numbers from 1. "
                f"Received: {f'{wrong[0]:g}' if len(wrong) else 'none, all are missing'}"
            )

    @property
    def meaning(self):
        return "the probability of its label at the first position"

    def get_config(self):
        config = super().get_config()
        del config["given"]
        return config | {"position": self.position, "positions": self.positions}
