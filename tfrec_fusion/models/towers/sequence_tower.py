"""Base class of the user towers that read the history in its order."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import check_count
from tfrec_fusion.layers.outputs import checked_output
from tfrec_fusion.models.towers.user_tower import UserTower


class SequenceTower(UserTower):
    """Computes user vectors from the last `max_len` events of a history, in their order.

    A subclass implements `encode`, adds its constructor's arguments to `get_config`, and may build
    its layers in `__init__` or `build`. The user vector is the encoding of the last position, and a
    user without a history has the vector 0. Because a position reads no later one, all positions
    of a sequence are trained at once, each on the event after it: `examples="sequence"`.

    Args:
      dim, n_users, n_items: see `UserTower`.
      max_len: number of last events that are read.

    Input, output: see `UserTower`.

    Raises:
      ValueError: `max_len` is no whole number of 1 or more.

    Example:
      >>> class Latest(SequenceTower):
      ...     def encode(self, vectors, ages, present, training=None):
      ...         return vectors
    """

    encodes_positions = True

    def __init__(
        self,
        dim: int | None = None,
        n_users: int | None = None,
        n_items: int | None = None,
        max_len: int = 50,
        **kwargs,
    ):
        # Layers follow the policy, but ages must stay float32.
        policy = {"dtype": keras.mixed_precision.global_policy(), "autocast": False}
        super().__init__(dim, n_users, n_items, **(policy | kwargs))
        check_count("max_len", max_len)
        self.max_len = max_len

    def encode(
        self, vectors: tf.Tensor, ages: tf.Tensor, present: tf.Tensor, training=None
    ) -> tf.Tensor:
        """Encodes sequences; a position may depend on itself and on earlier ones alone.

        Args:
          vectors: `[B, L, dim]` float, the vectors of the events, the latest last, and 0 for the
            padding at the front; L is at most `max_len`.
          ages: `[B, L]` float32 days before the scoring time, or of training before the last
            target; numbers of events where there are positions without times.
          present: `[B, L]` bool, False for padding.
          training: whether it is training.

        Returns:
          `[B, L, dim]` float, or `[B, L, interests, dim]` if `interests` is above 1.
        """
        raise NotImplementedError

    def call(self, users: Mapping[str, tf.Tensor], training=None):
        encoded, _, present = self._encoded(users, training)
        present = present[:, -1:] if self.interests == 1 else present[:, -1:, None]
        return tf.where(present, encoded[:, -1], tf.zeros([], encoded.dtype))

    def positions(self, users: Mapping[str, tf.Tensor], training=None) -> tf.Tensor:
        """Returns the user's vector after each event, `[H, dim]`, or `[H, interests, dim]`.

        Args:
          users: as for `call`; no history may be longer than `max_len`.
          training: whether it is training.

        Raises:
          tf.errors.InvalidArgumentError: a history is longer.
        """
        encoded, place, present = self._encoded(users, training)
        tf.debugging.assert_less(
            place,
            tf.size(present),
            f"a sequence is longer than the {self.max_len} events that {type(self).__name__} "
            f"reads; pass max_len={self.max_len} to batches, or a larger one to the tower",
        )
        return tf.gather(tf.reshape(encoded, [-1, *encoded.shape[2:]]), place)

    def _encoded(self, users: Mapping[str, tf.Tensor], training):
        """Encodings `[B, L, ...]`, each event's place in the padded rows, and which are present."""
        row, n_users = users["history_row"], tf.size(users["user"])
        ones = tf.ones_like(row, tf.float32)
        # ONNX has segment sums of floats alone.
        lengths = tf.cast(tf.math.unsorted_segment_sum(ones, row, n_users), tf.int32)
        later = tf.gather(tf.cumsum(lengths), row) - 1 - tf.range(tf.size(row))
        length = tf.clip_by_value(tf.reduce_max(lengths), 1, self.max_len)
        # Events before the last `length` go to a place of their own, which is cut off.
        place = tf.where(later < length, row * length + length - 1 - later, n_users * length)

        def padded(values):
            shape = tf.concat([[n_users * length + 1], tf.shape(values)[1:]], 0)
            found = tf.scatter_nd(place[:, None], values, shape)[:-1]
            shape = tf.concat([[n_users, length], tf.shape(values)[1:]], 0)
            return tf.ensure_shape(tf.reshape(found, shape), [None, None, *values.shape[1:]])

        present = padded(ones) > 0
        ages = padded(tf.cast(users["history_age"], tf.float32))
        several = [] if self.interests == 1 else [self.interests]
        encoded = checked_output(
            f"{type(self).__name__}.encode",
            self.encode(padded(users["history_vector"]), ages, present, training=training),
            f"[B, L, {', '.join(map(str, [*several, self.dim]))}]",
            rank=3 + len(several),
            columns=self.dim,
        )
        encoded = tf.ensure_shape(encoded, [None, None, *several, self.dim])
        return encoded, place, present

    def get_config(self):
        return super().get_config() | {"max_len": self.max_len}
