"""Exports of events that have positions and no times."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, export, refresh
from tfrec_fusion.features import State
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.classic import ItemKNN

IDS = [f"i{row}" for row in range(8)]


def _events(n_each):
    """Users u and v with so many items, from the last row to the first and the other way."""
    rows = [("u", IDS[7 - place], place) for place in range(n_each)]
    rows += [("v", IDS[place], 10 * place) for place in range(n_each)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "position"])
    return Interactions.from_frame(frame, Catalogue(pd.DataFrame({"item_id": IDS})))


def _scores(version, users):
    served = tf.saved_model.load(str(version)).signatures["score"]
    everything = tf.constant([IDS] * len(users))
    return served(user_id=tf.constant(users), item_id=everything)["score"].numpy()


@pytest.mark.slow
def test_ages_are_steps_in_stored_histories_and_in_those_of_a_request(tmp_path):
    events = _events(4)
    model = TwoTower(events, dim=4, decay_days=1.0)
    version = export(model, events, tmp_path / "shop", deployment=False)
    expected = np.asarray(model.scorer(State.of(events))(np.array([0, 1], np.int32)))
    np.testing.assert_allclose(_scores(version, ["u", "v"]), expected, atol=1e-5)
    shop = Recommender(version)
    for row, history in enumerate([IDS[:3:-1], IDS[:4]]):
        asked = shop.recommend("nobody", history=history, k=8)
        wanted = dict(zip(IDS, expected[row], strict=True))
        assert len(asked) == 4
        np.testing.assert_allclose([s for _, s in asked], [wanted[i] for i, _ in asked], atol=1e-5)
        # The order matters: the last item is the latest.
        turned = dict(shop.recommend("nobody", history=history[::-1], k=8))
        assert max(abs(turned[item] - score) for item, score in asked) > 1e-4


@pytest.mark.slow
def test_newer_events_refresh_the_histories(tmp_path):
    events, newer = _events(3), _events(6)
    model = ItemKNN().fit(events)
    export(model, events, tmp_path / "shop", deployment=False)
    second = refresh(model, newer, tmp_path / "shop", deployment=False)
    assert second.name == "2"
    expected = model.scorer(State.of(newer))(np.array([0, 1], np.int32))
    np.testing.assert_allclose(_scores(second, ["u", "v"]), expected, atol=1e-6)
    frame = pd.DataFrame({"user_id": ["u"], "item_id": ["i0"]})
    plain = Interactions.from_frame(frame, events.catalogue)
    with pytest.raises(InputError, match="no column 'timestamp'"):
        refresh(model, plain, tmp_path / "shop", deployment=False)
