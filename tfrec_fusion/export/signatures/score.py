"""The signature `score` of a recommender."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import ITEMS, USER
from tfrec_fusion.signature import Tensor

SCORE = Tensor("score", "float32", "[B, N]")
RETRIEVAL_SCORE = Tensor(
    "retrieval_score", "float32", "[B, N]", "the score by which candidates are chosen"
)


class Score(ServedSignature):
    """Scores of user-item pairs, from the stored histories."""

    name = "score"
    does = "the score of each user with each given item; no item is excluded"

    @property
    def outputs(self):
        return (SCORE, RETRIEVAL_SCORE) if self.served.serving.has_stages else (SCORE,)

    @property
    def inputs(self):
        return (USER, ITEMS, *self.served.feature_inputs)

    def answer(self, user_id, item_id, **features):
        users, _ = self.served.users(user_id, tf.fill([tf.shape(user_id)[0], 0], ""), features)
        found = {SCORE.name: self.served.scores(users, item_id)}
        if self.served.serving.has_stages:
            found[RETRIEVAL_SCORE.name] = self.served.retrieval_scores(users, item_id)
        return found
