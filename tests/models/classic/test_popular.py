import numpy as np

from tfrec_fusion.features import State
from tfrec_fusion.models.classic import Popularity


def test_counts_users_of_each_item(temporal):
    split = temporal([("u", "a"), ("v", "a"), ("u", "b")], [("v", "b")], items="abc")
    scores = (
        Popularity().fit(split.train).scorer(State.of(split.train))(np.array([1, 0, -1], np.int32))
    )
    assert scores.dtype == np.float32
    assert scores.tolist() == [[2, 1, 0]] * 3
