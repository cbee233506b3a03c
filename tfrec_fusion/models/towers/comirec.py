"""User tower of ComiRec: several vectors of interests."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import InversePosition
from tfrec_fusion.layers.causal_attention import causal
from tfrec_fusion.layers.checks import check_count
from tfrec_fusion.models.towers.sequence_tower import SequenceTower


@keras.utils.register_keras_serializable("tfrec_fusion")
class ComiRec(SequenceTower):
    """Several vectors of a user, each a weighted mean of the last events (ComiRec-SA).

    With H the item vectors of the history and P the vectors of their places, interest k is
    `softmax(w_k' tanh(W (H + P)')) H`. The score of an item is the largest over the interests, so
    the best items are those of all interests together. In training a target belongs to the
    interest that scores it highest, and the loss sees this one alone. Source: Cen et al.,
    "Controllable Multi-Interest Framework for Recommendation", KDD 2020.

    Args:
      dim, n_users, n_items, max_len: see `SequenceTower`.
      interests: number of vectors of a user.
      hidden: rows of W; None takes `4 * dim`, as the paper's code.

    Input, output: see `UserTower`.

    Raises:
      ValueError: a size is no whole number of 1 or more.

    Example:
      >>> tower = ComiRec(interests=2)
      >>> model = tff.models.TwoTower(split.train, dim=8, trend=False, user=tower)
      >>> batches = split.train.batches(128, examples="sequence")
      >>> users = {"user": tf.zeros([1], tf.int32), "history_vector": tf.eye(3, 8),
      ...          "history_row": tf.zeros([3], tf.int32), "history_age": tf.zeros([3])}
      >>> model.user_tower(users).shape.as_list()
      [1, 2, 8]
    """

    def __init__(
        self,
        dim: int | None = None,
        n_users: int | None = None,
        n_items: int | None = None,
        max_len: int = 50,
        interests: int = 4,
        hidden: int | None = None,
        **kwargs,
    ):
        super().__init__(dim, n_users, n_items, max_len, **kwargs)
        for name, size in (("interests", interests), ("hidden", hidden)):
            if size is not None:
                check_count(name, size)
        self.interests, self.hidden = interests, hidden

    def build(self, input_shape):
        policy = {"dtype": self.dtype_policy}
        size = self.hidden or 4 * input_shape["history_vector"][-1]
        self.position = InversePosition(self.max_len, self.dim, name="position", **policy)
        self.to_hidden = keras.layers.Dense(size, "tanh", False, name="to_hidden", **policy)
        self.to_interests = keras.layers.Dense(
            self.interests, use_bias=False, name="to_interests", **policy
        )
        super().build(input_shape)

    def encode(self, vectors, ages, present, training=None):
        vectors = tf.cast(vectors, self.compute_dtype)
        logits = self.to_interests(self.to_hidden(self.position(vectors)))
        logits = tf.transpose(tf.cast(logits, tf.float32), [0, 2, 1])[:, :, None]
        # [B, interests, L, L]: what each place reads of itself and those before it.
        logits = tf.where(causal(present)[:, None], logits, -1e9)
        shares = tf.cast(tf.nn.softmax(logits), vectors.dtype)
        found = tf.transpose(tf.matmul(shares, vectors[:, None]), [0, 2, 1, 3])
        return found[:, :, 0] if self.interests == 1 else found

    def get_config(self):
        own = {"interests": self.interests, "hidden": self.hidden}
        return super().get_config() | own
