"""The signature `score` of a recommender."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import ITEMS, USER
from tfrec_fusion.signature import Tensor


class Score(ServedSignature):
    """Scores of user-item pairs, from the stored histories."""

    name = "score"
    does = "the score of each user with each given item; no item is excluded"
    inputs = (USER, ITEMS)
    outputs = (Tensor("score", "float32", "[B, N]"),)

    def answer(self, user_id, item_id):
        users, _ = self.served.users(user_id, tf.fill([tf.shape(user_id)[0], 0], ""))
        return {"score": self.served.scores(users, item_id)}
