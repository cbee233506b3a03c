"""What permuted features cost a model whose scores are known by hand."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import feature_coverage, feature_importance
from tfrec_fusion.evaluation.importance import _Permuted
from tfrec_fusion.features import Category, Features, Number, Tags
from tfrec_fusion.features.state import State
from tfrec_fusion.models import Backbone, Ranker, TwoTower


@pytest.fixture(scope="module")
def split():
    """Each of two users took one item of their kind, and takes the other one in the test."""
    items = pd.DataFrame({"item_id": ["e0", "e1", "o0", "o1"], "kind": ["e", "e", "o", "o"]})
    items["tags"] = [["x"], None, ["x", "y"], []]
    users = pd.DataFrame({"user_id": ["u", "v"], "taste": ["e", "o"], "age": [None, 3.0]})
    rows = [("u", "e0", 1), ("v", "o0", 2), ("u", "e1", 3), ("v", "o1", 4)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    frame["device"] = ["e", "o", "e", "o"]
    events = Interactions.from_frame(
        frame, Catalogue(items), users=users, stray_times="keep"
    ).first_events()
    late = events.timestamp >= 3
    return Split(events.select(~late), events.select(late), "temporal", 3.0)


@pytest.fixture(scope="module")
def model(split):
    """A score is 1 if kind and taste are the same, else 0; tags and ages have no weight."""
    features = Features(
        item=[Category(column="kind"), Tags(column="tags")],
        user=[Number(column="age"), Category(column="taste")],
    )
    options = {"use_ids": False, "vectors": [], "trend": False, "feature_dim": 2}
    model = TwoTower(split.train, dim=2, features=features, **options)
    for layer, width in ((model.tower.features, 4), (model.user_side, 4)):
        table = np.zeros(layer.table.shape)
        table[1:3] = np.eye(2)  # both kinds come after the row of unseen ones
        layer.table.assign(table)
        layer.kernel.assign(np.eye(width, 2))
    return model


def test_the_drop_by_hand(split, model):
    """The better item is first. Exchanged tastes put it behind two others: 1 / log2(4) = .5."""
    # Two users are exchanged or they are not.
    orders = np.random.default_rng([0, 3])
    exchanged = [orders.permutation(2)[0] == 1 for _ in range(3)]
    assert 0 < sum(exchanged) < 3
    frame = feature_importance(
        model, split, features=["item/tags", "user/taste"], history=0, bootstrap=9
    )
    assert list(frame) == ["side", "feature", "coverage", "drop", "low", "high"]
    assert frame["feature"].tolist() == ["taste", "tags"]
    drop = 0.5 * sum(exchanged) / 3  # the same for both users, so the interval is this point
    assert frame.iloc[0, 2:].tolist() == pytest.approx([1.0, drop, drop, drop])
    assert frame.iloc[1, 2:].tolist() == [0.5, 0, 0, 0]


def test_the_model_is_as_before(split, model):
    before = [weight.numpy() for weight in model.weights]
    drops = feature_importance(model, split, features=["item/kind"], history=0)
    assert 0 < drops["drop"][0] < 0.7
    for mine, theirs in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


class _SameKind(Backbone):
    """1 where the item's kind is the context's device, else 0; both are one-hot in x_0."""

    def call(self, x0, training=None):
        return tf.reduce_sum(x0[..., :2] * x0[..., 6:8], -1, keepdims=True)


@pytest.fixture(scope="module")
def ranker(split):
    """A user's negatives are of the other kind, so each AUC is 1 in the context of the event."""
    features = Features(
        item=[Category(column="kind")],
        user=[Number(column="age")],
        context=[Category(column="device")],
    )
    options = {"use_ids": False, "vectors": [], "trend": False, "feature_dim": 2}
    model = Ranker(split.train, dim=2, features=features, backbone=_SameKind, **options)
    for layer in (model.tower.features, model.features.context_side):
        table = np.zeros(layer.table.shape)
        table[1:3] = np.eye(2)
        layer.table.assign(table)
        layer.kernel.assign(np.eye(2))
    model.head.linear.kernel.assign([[1.0]])
    return model


def test_a_rankers_context_by_hand(split, ranker):
    """Each user has an AUC of 0 where the two events have exchanged their devices."""
    orders = np.random.default_rng([0, 2])
    exchanged = [orders.permutation(2)[0] == 1 for _ in range(5)]
    assert 0 < sum(exchanged) < 5
    before = [weight.numpy() for weight in ranker.weights]
    frame = feature_importance(ranker, split, repeats=5, bootstrap=9)
    drops = {row[1]: list(row[2:]) for row in frame.itertuples(index=False)}
    drop = sum(exchanged) / 5
    assert drops["device"] == pytest.approx([1.0, drop, drop, drop])
    assert drops["age"] == [0.5, 0, 0, 0]
    assert drops["kind"][1] > 0
    for mine, theirs in zip(ranker.weights, before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    one = ["user/age"]
    assert feature_importance(ranker, split, features=one, history=0, users=1)["drop"][0] == 0
    with pytest.raises(InputError, match="history must be 0 or more"):
        feature_importance(ranker, split, history=-1)


def test_a_ranker_that_reads_rates_of_labels(split):
    """The permuted users keep their impressions, from which the rates are."""
    label = np.array([1.0, 1.0, 0.0])
    frame = pd.DataFrame({"user_id": ["u", "v", "v"], "item_id": ["e0", "o0", "e0"]})
    frame = frame.assign(timestamp=[1, 2, 2], label=label)
    events = Interactions.from_frame(
        frame, split.train.catalogue, users=split.train.user_table, stray_times="keep"
    )
    features = Features(user=[Category(column="taste")])
    ranker = Ranker(events, dim=2, vectors=[], features=features, label_rates=True)
    state, columns = State.of(events), (np.array([0]), np.array([], int))
    permuted = _Permuted(ranker, "user", columns, np.random.default_rng(0)).scorer(state)
    assert permuted(np.arange(2)).shape == ranker.scorer(state)(np.arange(2)).shape


def test_coverage(split, model):
    assert feature_coverage(model, split.train) == {
        "item/kind": 1.0,
        "item/tags": 0.5,
        "user/age": 0.5,
        "user/taste": 1.0,
    }


def test_fewer_users(split, model):
    one = feature_importance(
        model, split, features=["user/age"], users=1, history=0, repeats=1, bootstrap=2
    )
    assert one.iloc[0, 3:].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"features": ["taste"]}, "must be a list of item/kind, item/tags, user/age, user/taste"),
        ({"features": "user/taste"}, "must be a list"),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"users": 0}, "users must be at least 1"),
        ({"bootstrap": 0}, "bootstrap must be at least 1"),
        ({"k": 0}, "k must be"),
    ],
)
def test_mistakes(split, model, options, says):
    with pytest.raises(InputError, match=says):
        feature_importance(model, split, **options)


def test_a_model_without_features(split):
    with pytest.raises(InputError, match="the model has no declared features"):
        feature_importance(TwoTower(split.train, dim=2), split)
