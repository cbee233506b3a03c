import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import feature_coverage, feature_importance
from tfrec_fusion.features import Category, Features, Number
from tfrec_fusion.features.state import State
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.towers.user_features import UserFeatures


def _events(users):
    frame = pd.DataFrame({"user_id": ["u", "v", "u"], "item_id": ["a", "a", "b"]})
    frame["class"] = "x"
    items = pd.DataFrame({"item_id": ["a", "b"]})
    return Interactions.from_frame(frame, Catalogue(items), users=users)


USERS = pd.DataFrame({"user_id": ["u", "v"], "country": ["de", "fr"], "age": [20.0, 40.0]})
DECLARED = Features(user=[Category(column="country"), Number(column="age")])


@pytest.fixture(scope="module")
def model():
    return TwoTower(_events(USERS), dim=4, features=DECLARED)


@pytest.fixture(scope="module")
def features(model):
    return UserFeatures.of(model.spec, State.of(_events(USERS)), requests=True)


def _given(country, age):
    return {
        "user_country": tf.constant([country]),
        "user_age": tf.constant([age], tf.float64),
    }


def test_a_stranger_who_gives_some_is_a_user_with_the_others_missing(model, features):
    alike = pd.DataFrame({"country": ["de"], "age": [np.nan]})
    expected = model.spec.user_side.encode(alike)
    found = features(tf.constant([-1]), _given("de", np.nan))
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs)


def test_a_stranger_who_gives_nothing_has_no_part_in_the_score(features):
    rows, numbers = features(tf.constant([-1]), _given("", np.nan))
    assert (rows.numpy() == -1).all() and (numbers.numpy() == 0).all()


def test_a_known_user_keeps_what_is_not_given(features):
    known = features(tf.constant([0]))
    rows, numbers = features(tf.constant([0]), _given("fr", np.nan))
    assert rows.numpy() != known[0].numpy()
    np.testing.assert_array_equal(numbers, known[1])


def test_importance_and_coverage_say_what_they_lack(model):
    split = _events(USERS).split("none")
    with pytest.raises(InputError, match="features must be a list"):
        feature_importance(model, split, features=[])
    with pytest.raises(InputError, match="columns of users that the events lack"):
        feature_coverage(model, _events(None))


def test_a_column_that_cannot_name_an_input_is_refused_before_training():
    declared = Features(context=[Category(column="class")])
    with pytest.raises(InputError, match="'class' cannot be; rename it"):
        TwoTower(_events(None), dim=4, features=declared)
