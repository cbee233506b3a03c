"""Whatever tables hold, models train, score and are exported with them, or refuse in one line."""

import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_tables import POOLS, odd_tables

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.features import Category, Features, Number, State, Tags, Time
from tfrec_fusion.models import Ranker, TwoTower

USER_IDS = [f"u{row}" for row in range(8)]
ITEM_IDS = [f"i{row}" for row in range(6)]
USER_COLUMNS = {"taste": POOLS[0], "age": POOLS[2], "likes": POOLS[5]}
ITEM_COLUMNS = {"brand": POOLS[0], "moods": POOLS[4], "since": POOLS[7]}
FEATURES = Features(
    item=[Category(column="brand"), Tags(column="moods", separator="|"), Time(column="since")],
    user=[
        Category(column="taste"),
        Number(column="age", scale="quantile", bins=3),
        Tags(column="likes", pooling="attention"),
    ],
)
USERS = pd.DataFrame(
    {
        "user_id": USER_IDS,
        "taste": ["a", "b"] * 4,
        "age": [1.5, None, *np.arange(6.0)],
        "likes": [["x"], ["x", "y"], None, []] * 2,
    }
)
ITEMS = pd.DataFrame(
    {
        "item_id": ITEM_IDS,
        "brand": ["a", "b", None] * 2,
        "moods": ["a|b", "", "b"] * 2,
        "since": np.arange(6) + 1.6e9,
    }
)
users_tables = partial(odd_tables, USER_IDS, "user_id")
items_tables = partial(odd_tables, ITEM_IDS, "item_id")


def _events(users, items=ITEMS):
    """Each of the first six users took two of the first five items."""
    rows = [(f"u{u}", f"i{(u + more) % 5}") for u in range(6) for more in (0, 2)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    frame["timestamp"] = 1.6e9 + 1e6 * np.arange(len(rows))
    return Interactions.from_frame(frame, Catalogue(items, numbers=[]), users=users)


def _or_one_line(work):
    """The result of `work`; None if it was refused in one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return work()
        except InputError as error:
            assert "\n" not in str(error)
            assert str(error).startswith(("users: ", "items: ", "TwoTower: ", "Ranker: "))
            return None


@pytest.fixture(scope="module")
def two_tower():
    return _noisy(TwoTower)


@pytest.fixture(scope="module", params=[TwoTower, Ranker])
def model(request):
    return _noisy(request.param)


def _noisy(make):
    model = make(_events(USERS), dim=2, features=FEATURES)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign_add(rng.normal(scale=0.3, size=weight.shape).astype(np.float32))
    return model


def _scores(model, events):
    return np.asarray(model.scorer(State.of(events))(np.array([0, 5, -1], np.int32)))


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(users=users_tables(USER_COLUMNS))
def test_a_trained_model_scores_other_users_or_refuses(model, users):
    found = _or_one_line(lambda: _scores(model, _events(users)))
    assert found is None or np.isfinite(found).all()


@pytest.mark.slow
def test_the_order_and_type_of_columns_change_no_score(model):
    expected = _scores(model, _events(USERS))
    for other in (
        USERS[["likes", "age", "user_id", "taste"]],
        USERS.astype({"taste": "category", "age": "Float64"}),
        USERS.assign(likes=USERS["likes"].map(lambda tags: None if not tags else np.array(tags))),
        USERS.assign(age=USERS["age"].astype(object).where(USERS["age"].notna(), None), more=1),
    ):
        np.testing.assert_array_equal(_scores(model, _events(other)), expected)
    unseen = _scores(model, _events(USERS.assign(taste="new")))
    assert np.isfinite(unseen).all() and np.abs(unseen - expected)[:2].max() > 1e-4


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    make=st.sampled_from([TwoTower, Ranker]),
    users=users_tables(USER_COLUMNS),
    items=items_tables(ITEM_COLUMNS),
)
def test_models_are_made_and_trained_on_any_tables_or_refuse(make, users, items):
    def trained():
        events = _events(users, items)
        model = make(events, dim=2, features=FEATURES)
        model.compile(keras.optimizers.SGD(0.1))
        batches = events.batches(4) if make is TwoTower else ranking_examples(events, 4)
        model.fit(batches, verbose=0)
        return _scores(model, events)

    found = _or_one_line(trained)
    assert found is None or np.isfinite(found).all()


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(users=users_tables(USER_COLUMNS))
def test_an_export_with_other_users_answers_or_is_refused(two_tower, users, tmp_path_factory):
    base = tmp_path_factory.mktemp("any") / "shop"
    version = _or_one_line(lambda: export(two_tower, _events(users), base, deployment=False))
    if version is None:
        assert not base.exists() or not any(base.iterdir())
        return
    found = Recommender(version).recommend("u7", k=3)  # without events
    assert np.isfinite([score for _, score in found]).all()
