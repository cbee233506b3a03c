"""Declared features of items and users in the models, from training to the export."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions, UserTable
from tfrec_fusion.embeddings import VectorStore
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import explain
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.features import Category, Features, Number, State, Tags, Vectors
from tfrec_fusion.models import Ranker, TwoTower

N_ITEMS, N_USERS = 20, 30
ITEMS = pd.DataFrame(
    {
        "item_id": [f"i{row}" for row in range(N_ITEMS)],
        "kind": ["even", "odd"] * (N_ITEMS // 2),
        "genres": [["a"], ["b", "c"], None, ["a", "c"]] * (N_ITEMS // 4),
        "price": np.arange(N_ITEMS) + 1.0,
    }
)
# Users of the table beyond N_USERS have no events.
USERS = pd.DataFrame(
    {
        "user_id": [f"u{row}" for row in range(N_USERS + 4)],
        "taste": ["even", "odd"] * (N_USERS // 2 + 2),
        "age": [None, *np.arange(N_USERS + 3.0)],
    }
)
FEATURES = Features(
    item=[
        Category(column="kind"),
        Tags(column="genres", pooling="attention"),
        Number(column="price", scale="log"),
    ],
    user=[
        Category(column="taste"),
        Number(column="age", scale="quantile", bins=4),
        Vectors(column="text", most=2),
    ],
)
TEXTS = np.random.default_rng(9).normal(size=(len(USERS), 3))


def _events(users=USERS, items=ITEMS, times=True):
    """Users of the taste "even" take items of the kind "even", the last four items are cold."""
    rng = np.random.default_rng(0)
    user = rng.integers(0, N_USERS, 600)
    item = 2 * rng.integers(0, (N_ITEMS - 4) // 2, 600) + user % 2
    frame = pd.DataFrame({"user_id": [f"u{u}" for u in user], "item_id": [f"i{i}" for i in item]})
    if times:
        frame["timestamp"] = 1.7e9 + 86_400.0 * np.sort(rng.integers(0, 200, 600))
    else:
        frame = frame.drop_duplicates()
    table = None
    if users is not None:  # the first has no vector
        table = UserTable(users, {"text": VectorStore(users["user_id"][1:], TEXTS[1:])})
    return Interactions.from_frame(frame, Catalogue(items, numbers=[]), users=table)


@pytest.fixture(scope="module")
def events():
    return _events()


@pytest.fixture(scope="module")
def trained(events):
    keras.utils.set_random_seed(0)
    model = TwoTower(events, dim=8, features=FEATURES, trend=False, id_dropout=0.0)
    model.compile(keras.optimizers.Adam(0.03))
    model.fit(events.batches(16), epochs=8, verbose=0)
    return model


def _noise(model):
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign_add(rng.normal(scale=0.3, size=weight.shape).astype(np.float32))
    return model


def _not_given(rows):
    """The inputs of a request that give features of users, without any."""
    return {
        "user_taste": tf.fill([rows], ""),
        "user_age": tf.fill([rows], tf.constant(np.nan, tf.float64)),
    }


def _even(scores, items):
    """Mean score of even items less that of odd ones, among `items`."""
    items = np.asarray(items)
    return scores[:, items[items % 2 == 0]].mean(1) - scores[:, items[items % 2 == 1]].mean(1)


def test_a_new_user_is_known_by_taste_and_a_cold_item_by_kind(events, trained):
    """The 30 users of the training have histories; without, only the taste tells them apart."""
    state = State.of(events).cut(0)
    scores = trained.scorer(state)(np.arange(len(events.users), dtype=np.int32))
    sign = np.where([int(name[1:]) % 2 for name in events.users.ids], -1, 1)
    assert (sign * _even(scores, range(N_ITEMS - 4)) > 0).all()
    assert (sign * _even(scores, range(N_ITEMS - 4, N_ITEMS)) > 0).all()


@pytest.mark.slow
def test_shuffled_features_do_not_tell_them_apart(events):
    shuffled = USERS.assign(taste=np.random.default_rng(3).permutation(USERS["taste"]))
    events = _events(shuffled)
    keras.utils.set_random_seed(0)
    model = TwoTower(events, dim=8, features=FEATURES, trend=False)
    model.compile(keras.optimizers.Adam(0.03))
    model.fit(events.batches(16), epochs=1, verbose=0)
    scores = model.scorer(State.of(events).cut(0))(np.arange(len(events.users), dtype=np.int32))
    sign = np.where([int(name[1:]) % 2 for name in events.users.ids], -1, 1)
    assert (sign * _even(scores, range(N_ITEMS - 4)) > 0).mean() < 0.8


def test_a_model_starts_as_without_features(events):
    users = np.array([0, 3, -1], np.int32)
    found = []
    for features in (Features(), FEATURES):
        keras.utils.set_random_seed(0)
        model = TwoTower(events, dim=8, features=features, history_dropout=0.0)
        found.append(model)
    # Initial values are drawn in the order of the layers.
    for name in ("table", "unknown"):
        getattr(found[1].tower.ids, name).assign(getattr(found[0].tower.ids, name))
    found[1].user_tower.set_weights(found[0].user_tower.get_weights())
    found[1].trend.set_weights(found[0].trend.get_weights())
    scores = [model.scorer(State.of(events))(users) for model in found]
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-6)


def test_the_vectors_by_hand(events):
    """One category of 2 columns, values a and b; W is the identity and the MLP's last layer 0."""
    features = Features(item=[Category(column="kind")])
    model = TwoTower(events, dim=2, features=features, feature_dim=2, use_ids=False, trend=False)
    side = model.tower.features
    side.table.assign([[9.0, 9.0], [1.0, 2.0], [3.0, 4.0]])  # unseen, even, odd
    side.kernel.assign(np.eye(2))
    vectors = model.tower(tf.constant([0, 1, -1]), tf.constant([True, True, False]))
    assert vectors.numpy().tolist() == [[1, 2], [3, 4], [0, 0]]


@pytest.mark.parametrize("make", [TwoTower, Ranker])
def test_it_comes_back_from_a_file(events, make, tmp_path):
    model = _noise(make(events, dim=8, features=FEATURES))
    users = np.array([0, 5, -1], np.int32)
    scores = model.scorer(State.of(events))(users)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.scorer(State.of(events))(users), scores, atol=1e-5)
    # Columns are matched by name, whatever their order and type.
    table = USERS[["age", "taste", "user_id"]].astype({"taste": "category", "age": "Float32"})
    other = loaded.scorer(State.of(_events(table)))(users)
    np.testing.assert_allclose(other, scores, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "precision", "user"),
    [
        (TwoTower, "float32", "both"),
        (Ranker, "float32", "history"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (TwoTower, "float32", "history"),
                (TwoTower, "int8", "history"),
                (TwoTower, "bfloat16", "both"),
                (Ranker, "float32", "both"),
                (Ranker, "int8", "both"),
            )
        ),
    ],
)
def test_an_export_scores_as_the_model_and_knows_the_whole_table(
    events, make, precision, user, tmp_path
):
    model = _noise(make(events, dim=8, features=FEATURES, user=user))
    version = export(model, events, tmp_path / "shop", precision=precision, deployment=False)
    served = tf.saved_model.load(str(version)).signatures["score"]
    ids = ["u0", "u7", f"u{N_USERS + 1}", "nobody"]
    extra = {}
    if make is Ranker:
        extra = {"history": tf.fill([4, 0], ""), "history_age": tf.zeros([4, 0])}
    items = tf.constant([ITEMS["item_id"].tolist()] * 4)
    asked = {"user_id": tf.constant(ids), "item_id": items, **extra, **_not_given(4)}
    found = served(**asked)["score"].numpy()
    rows = events.users.rows(ids).astype(np.int32)
    expected = model.scorer(State.of(events))(rows)
    # Fewer bytes change sums of products by a share of the largest.
    tolerance = 1e-5 if precision == "float32" else 0.02 * np.abs(expected).max()
    for row in (0, 1, 3):
        np.testing.assert_allclose(found[row], expected[row], rtol=1e-4, atol=tolerance)
    # u31 has no events, but a taste, so it is not scored as an unknown user.
    assert np.abs(found[2] - found[3]).max() > 0.01


def test_a_user_without_events_is_recommended_what_others_of_the_taste_take(
    events, trained, tmp_path
):
    shop = Recommender(export(trained, events, tmp_path / "shop", deployment=False))
    for user in (N_USERS, N_USERS + 1):
        kinds = {int(item[1:]) % 2 for item, _ in shop.recommend(f"u{user}", k=5)}
        assert kinds == {user % 2}


@pytest.mark.parametrize("times", [True, False])
def test_features_alone_train(times):
    """Without ids and vectors; were both towers zero at the start, so were all gradients."""
    events = _events(times=times)
    keras.utils.set_random_seed(0)
    model = TwoTower(events, dim=8, features=FEATURES, use_ids=False, vectors=[], trend=False)
    model.compile(keras.optimizers.Adam(0.03))
    model.fit(events.batches(16), epochs=4, verbose=0)
    scores = model.scorer(State.of(events).cut(0))(np.arange(len(events.users), dtype=np.int32))
    sign = np.where([int(name[1:]) % 2 for name in events.users.ids], -1, 1)
    assert (sign * _even(scores, range(N_ITEMS)) > 0).all()


def test_users_of_the_table_alone_are_scored_and_explained(events, trained, tmp_path):
    everyone = events.with_table_users()
    row = everyone.users.rows([f"u{N_USERS}"])
    scores = trained.scorer(State.of(everyone))(row)[0]
    version = export(trained, events, tmp_path / "shop", deployment=False)
    served = tf.saved_model.load(str(version)).signatures["score"]
    answer = served(
        user_id=tf.constant([f"u{N_USERS}"]),
        item_id=tf.constant([ITEMS["item_id"].tolist()]),
        **_not_given(1),
    )
    np.testing.assert_allclose(answer["score"][0], scores, rtol=1e-4, atol=1e-5)
    frame = explain(trained, events, [f"u{N_USERS}"] * 2, ["i0", "i1"])
    np.testing.assert_allclose(frame["score"], scores[:2], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_shares_of_features_sum_up(events, trained, tmp_path):
    pairs = [("u0", "i0"), ("u1", "i0"), ("u0", "i19")]
    frame = explain(trained, events, *zip(*pairs, strict=True))
    parts = [c for c in frame if c in ("id", "features", "context", "bias")]
    assert "features" in parts
    np.testing.assert_allclose(frame[parts].sum(axis=1), frame["score"], rtol=1e-4, atol=1e-4)
    assert frame["features"].abs().max() > 0.01
    version = export(trained, events, tmp_path / "shop", deployment=False, explain=True)
    served = tf.saved_model.load(str(version)).signatures["explain"]
    answer = served(
        user_id=tf.constant(["u0", "u1"]),
        item_id=tf.constant([["i0"], ["i0"]]),
        history=tf.fill([2, 0], ""),
        history_age=tf.zeros([2, 0]),
        **_not_given(2),
    )
    np.testing.assert_allclose(answer["score"][:, 0], frame["score"][:2], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        answer["share_features"][:, 0], frame["features"][:2], rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    ("make", "times"),
    [
        (TwoTower, False),
        pytest.param(Ranker, True, marks=pytest.mark.slow),
        pytest.param(Ranker, False, marks=pytest.mark.slow),
        pytest.param(TwoTower, True, marks=pytest.mark.slow),
    ],
)
def test_it_trains(make, times):
    events = _events(times=times)
    model = make(events, dim=4, features=FEATURES)
    batches = ranking_examples(events, 64, negatives=1) if make is Ranker else events.batches(16)
    model.compile(keras.optimizers.Adam(0.01))
    before = [w.numpy() for w in _of_features(model)]
    model.fit(batches, verbose=0)
    after = _of_features(model)
    assert len(after) == 9
    # The last layers start at zero, so the hidden layer's gradient does at first.
    assert sum(np.abs(a - b).max() > 0 for a, b in zip(after, before, strict=True)) >= 6


def _of_features(model):
    return [w for w in model.trainable_weights if "_features/" in w.name]


@pytest.mark.slow
def test_pairs_train_on_them(events):
    model = TwoTower(events, dim=4, features=FEATURES, trend=False)
    model.compile(keras.optimizers.Adam(0.01))
    batches = events.batches(64, examples="pairs", history=4)
    history = model.fit(batches, epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        (_events(None), {}, "features of users need a table of users; pass users="),
        (_events(), {"features": {"item": [{"kind": "category", "column": "x"}]}}, "missing: x"),
        (_events(), {"features": "infr"}, "features: must be a Features, a mapping .* or 'infer'"),
        (_events(USERS.assign(age=[*range(33), "old"])), {}, "'age' must be numeric.*'old'"),
        (_events(), {"features": {"user": [{"kind": "bin", "column": "age"}]}}, "features.user.0"),
        (_events(USERS.assign(user_id=[f"x{i}" for i in range(34)])), {}, "none of the 30 users"),
    ],
)
@pytest.mark.parametrize("make", [TwoTower, Ranker])
def test_a_mistake_is_named(make, data, options, says):
    with pytest.raises(InputError, match=says):
        make(data, **({"dim": 4, "features": FEATURES} | options))


@pytest.mark.parametrize("users", [None, USERS[["user_id", "age"]]])
def test_events_without_the_columns_of_users_are_refused(trained, users, tmp_path):
    events = _events(users)
    with pytest.raises(InputError, match=r"columns of users that the events lack: (taste|age)"):
        trained.scorer(State.of(events))
    with pytest.raises(InputError, match="columns of users that the events lack"):
        export(trained, events, tmp_path / "shop", deployment=False)
