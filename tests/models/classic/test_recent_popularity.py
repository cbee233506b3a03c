import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import RecentPopularity


def test_only_the_last_events_count(temporal):
    # Ten training events at 0..9 s. The .8 quantile of time is 7.2: the events at 8 and 9 are left.
    train = [(f"u{i}", "a") for i in range(8)] + [("u0", "b"), ("u1", "c")]
    split = temporal(train, [("u2", "b")], items="abcd")
    scores = (
        RecentPopularity(share=0.2).fit(split.train).scorer(State.of(split.train))(np.array([0]))
    )
    assert scores.tolist() == [[0, 1, 1, 0]]


def test_the_whole_share_is_popularity(temporal):
    split = temporal([("u", "a"), ("v", "a"), ("u", "b")], [("v", "b")], items="abc")
    scores = RecentPopularity(share=1).fit(split.train).scorer(State.of(split.train))(np.array([0]))
    assert scores.tolist() == [[2, 1, 0]]


def test_without_times():
    frame = pd.DataFrame({"user_id": ["u"], "item_id": ["a"]})
    events = Interactions.from_frame(frame, Catalogue(pd.DataFrame({"item_id": ["a"]})))
    with pytest.raises(InputError, match="no timestamp"):
        RecentPopularity().fit(events)


@pytest.mark.parametrize("share", [0, -1, 1.5, float("nan")])
def test_a_share_out_of_range(share):
    with pytest.raises(InputError, match="share"):
        RecentPopularity(share=share)
