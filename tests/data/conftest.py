import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions


@pytest.fixture
def events_of():
    """`events_of([(user, item, day), ...], items="abc")` are interactions with times in days."""

    def build(rows, items="abc", **columns):
        catalogue = Catalogue(pd.DataFrame({"item_id": list(items), **columns}))
        frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
        frame["timestamp"] *= 86400
        return Interactions.from_frame(frame, catalogue)

    return build


@pytest.fixture(scope="session")
def make_events():
    """`make_events([(user, item, second), ...])`: events of one-letter items; times optional."""

    def make(rows, items="abcdefghij", **columns):
        names = ["user_id", "item_id", "timestamp"][: len(rows[0])]
        frame = pd.DataFrame(rows, columns=names).assign(**columns)
        return Interactions.from_frame(frame, Catalogue(pd.DataFrame({"item_id": list(items)})))

    return make
