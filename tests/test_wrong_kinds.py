"""A frame, or a whole split, in the place of interactions is refused by name."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.export import export, refresh
from tfrec_fusion.models import AlphaRec, Ranker, TwoTower


@pytest.fixture(scope="module")
def frame():
    rows = [(user, item, 1.7e9 + n) for n, (user, item) in enumerate(["ua", "ub", "va", "vb"])]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


@pytest.fixture(scope="module")
def events(frame):
    shop = Catalogue(pd.DataFrame({"item_id": ["a", "b"]}), {"text": np.eye(2, dtype=np.float32)})
    return Interactions.from_frame(frame, shop)


@pytest.mark.parametrize("model", [TwoTower, Ranker, AlphaRec])
def test_a_model_is_not_built_from_a_frame_or_a_whole_split(model, frame, events):
    with pytest.raises(InputError, match=f"{model.__name__}: .*from_frame.* Received: DataFrame"):
        model(frame)
    with pytest.raises(InputError, match=f"{model.__name__}: .*split's .train. Received: Split"):
        model(events.split("leave_one_out"))


def test_exports_are_not_made_of_frames_or_splits(frame, events, tmp_path):
    model = TwoTower(events, dim=2, whitening_dim=None)
    with pytest.raises(InputError, match=r"export: .*from_frame.* Received: DataFrame"):
        export(model, frame, tmp_path / "shop")
    with pytest.raises(InputError, match=r"refresh: .*split's .train. Received: Split"):
        refresh(model, events.split("leave_one_out"), tmp_path / "shop")
    assert not (tmp_path / "shop").exists()


def test_an_evaluation_needs_a_split(events):
    with pytest.raises(InputError, match=r"evaluate: .*events.split\(.* Received: Interactions"):
        evaluate(TwoTower(events, dim=2, whitening_dim=None), events)
