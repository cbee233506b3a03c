"""User tower of Caser."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import ResumableDropout
from tfrec_fusion.models.towers.sequence_tower import SequenceTower


@keras.utils.register_keras_serializable("tfrec_fusion")
class Caser(SequenceTower):
    """Convolutions over a window of the last events.

    Horizontal filters of each height up to `window` find patterns of consecutive events, of which
    the strongest in the window counts; vertical filters are weighted sums of its events. Source:
    Tang and Wang, "Personalized Top-N Sequential Recommendation via Convolutional Sequence
    Embedding", WSDM 2018, without its user ids.

    Args:
      dim, n_users, n_items, max_len: see `SequenceTower`; `max_len` only bounds the sequences.
      window: number of last events that a position reads.
      horizontal: horizontal filters of each height.
      vertical: vertical filters.
      dropout: rate on the filters' outputs.

    Input, output: see `UserTower`.

    Raises:
      ValueError: sizes below 1.
    """

    def __init__(
        self,
        dim: int | None = None,
        n_users: int | None = None,
        n_items: int | None = None,
        max_len: int = 50,
        window: int = 5,
        horizontal: int = 16,
        vertical: int = 4,
        dropout: float = 0.2,
        **kwargs,
    ):
        super().__init__(dim, n_users, n_items, max_len, **kwargs)
        sizes = {"window": window, "horizontal": horizontal, "vertical": vertical}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1. Received: {size}")
        self.options = {**sizes, "dropout": dropout}

    def build(self, input_shape):
        policy = {"dtype": self.dtype_policy}
        window = self.options["window"]
        self.filters = [
            keras.layers.Dense(
                self.options["horizontal"], "relu", name=f"height_{height}", **policy
            )
            for height in range(1, window + 1)
        ]
        self.vertical = keras.layers.Dense(
            self.options["vertical"], use_bias=False, name="vertical", **policy
        )
        self.dropout = ResumableDropout(self.options["dropout"], name="dropout", **policy)
        self.output_map = keras.layers.Dense(self.dim, name="output", **policy)
        super().build(input_shape)

    def encode(self, vectors, ages, present, training=None):
        window = self.options["window"]
        length = tf.shape(vectors)[1]
        before = tf.pad(vectors, [[0, 0], [window - 1, 0], [0, 0]])
        # [B, L, window, dim]: the events of each position's window, the latest last.
        windows = tf.stack([before[:, n : n + length] for n in range(window)], 2)
        found = []
        for height, filters in enumerate(self.filters, 1):
            patches = [
                tf.concat(tf.unstack(windows[:, :, n : n + height], axis=2), -1)
                for n in range(window - height + 1)
            ]
            found.append(tf.reduce_max(filters(tf.stack(patches, 2)), 2))
        sums = self.vertical(tf.transpose(windows, [0, 1, 3, 2]))
        size = self.dim * self.options["vertical"]
        found.append(tf.reshape(sums, tf.concat([tf.shape(vectors)[:2], [size]], 0)))
        return self.output_map(self.dropout(tf.concat(found, -1), training=training))

    def get_config(self):
        return super().get_config() | self.options
