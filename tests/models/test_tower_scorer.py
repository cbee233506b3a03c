"""Scorers of a two-tower: each has a graph of its own."""

import gc

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.features import State
from tfrec_fusion.models import TwoTower


@pytest.fixture(params=["first", "all"])
def events(request):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user_id": rng.integers(0, 9, 60), "item_id": rng.integers(0, 7, 60)})
    frame = frame.drop_duplicates().astype(str)
    frame["timestamp"] = 1.7e9 + 3600.0 * np.arange(len(frame))
    catalogue = Catalogue(pd.DataFrame({"item_id": [str(item) for item in range(7)]}))
    return Interactions.from_frame(frame, catalogue).with_repeats(request.param)


def test_many_scorers_give_no_warning(events, caplog):
    model, users = TwoTower(events, dim=4), np.arange(-1, 5, dtype=np.int32)
    states = [State.of(events) for _ in range(12)]
    found = [model.scorer(state)(users) for state in states]
    # TensorFlow warns after five of its last calls traced a graph.
    assert "retracing" not in caplog.text
    for scores in found[1:]:
        np.testing.assert_array_equal(scores, found[0])


def test_a_scorer_keeps_its_model(events):
    model, users = TwoTower(events, dim=4), np.arange(4, dtype=np.int32)
    scorer = model.scorer(State.of(events))
    expected = model.scorer(State.of(events))(users)
    del model
    gc.collect()
    for count in (4, 2):
        np.testing.assert_allclose(scorer(users[:count]), expected[:count], atol=1e-6)
