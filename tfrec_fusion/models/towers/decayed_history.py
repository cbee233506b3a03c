"""User tower that weights events by their position in the history."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.models.towers.sequence_tower import SequenceTower


@keras.utils.register_keras_serializable("tfrec_fusion")
class DecayedHistory(SequenceTower):
    """Linear map of a sum of the last events with a trained weight for each position.

    `u = W sum_k exp(a_k) v_(-k)` over the k-th last events; `a_k` starts at `k log(decay)`, and W
    at the identity. It is linear in the history's vectors.

    Args:
      dim, n_users, n_items, max_len: see `SequenceTower`.
      decay: weight of an event relative to the next one, at the start.

    Input, output: see `UserTower`.

    Raises:
      ValueError: `decay` is outside (0, 1].
    """

    def __init__(
        self,
        dim: int | None = None,
        n_users: int | None = None,
        n_items: int | None = None,
        max_len: int = 50,
        decay: float = 0.7,
        **kwargs,
    ):
        super().__init__(dim, n_users, n_items, max_len, **kwargs)
        if not 0 < decay <= 1:
            raise ValueError(f"decay must be in (0, 1]. Received: {decay}")
        self.decay = decay

    def build(self, input_shape):
        def start(shape, dtype=None):
            return tf.range(shape[0], dtype=dtype) * tf.math.log(self.decay)

        self.log_weights = self.add_weight(
            "log_weights", (self.max_len,), "float32", start, experimental_autocast=False
        )
        self.to_user = keras.layers.Dense(
            self.dim, kernel_initializer="identity", name="to_user", dtype="float32"
        )
        super().build(input_shape)

    def encode(self, vectors, ages, present, training=None):
        place = tf.range(tf.shape(vectors)[1])
        behind = place[:, None] - place[None]
        weights = tf.exp(tf.gather(self.log_weights, tf.maximum(behind, 0)))
        weights = tf.where(behind >= 0, weights, 0.0)
        return self.to_user(tf.einsum("qk,bkd->bqd", weights, tf.cast(vectors, tf.float32)))

    def get_config(self):
        return super().get_config() | {"decay": self.decay}
