"""Declared features of the events of histories, from the examples to the export."""

import numpy as np
import pandas as pd
import pytest
from featured import with_noise
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, History, Interactions
from tfrec_fusion.embeddings import VectorStore
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import explain, feature_coverage, feature_importance
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features import Category, Features, Number, State, Tags, Time, Vectors
from tfrec_fusion.features.context import in_histories
from tfrec_fusion.features.history_events import encoded_events, fitted_events, unknown_event
from tfrec_fusion.models import Ranker, TwoTower
from tfrec_fusion.models.towers.event_features import EventFeatures

N_USERS, N_ITEMS, DAY = 12, 20, 86_400.0
ITEMS = pd.DataFrame({"item_id": [f"i{row}" for row in range(N_ITEMS)]})
FEATURES = Features(
    event=[
        Category(column="event"),
        Number(column="rating"),
        Tags(column="tags"),
        Time(column="timestamp", parts=("hour",)),
        Vectors(column="review", most=2),
    ]
)
MARK = Features(event=[Number(column="mark", scale="raw")])


def _frame(users=N_USERS, each=8):
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(users), each)
    item = np.concatenate([rng.permutation(N_ITEMS)[:each] for _ in range(users)])
    frame = pd.DataFrame({"user_id": [f"u{u}" for u in user], "item_id": [f"i{i}" for i in item]})
    frame["timestamp"] = 1.7e9 + DAY * (users * np.tile(np.arange(each), users) + user) / 3
    frame["event"] = rng.choice(["view", "buy", None], len(frame))
    frame["rating"] = rng.integers(1, 6, len(frame)).astype(float)
    frame["tags"] = [["a", "b"][: row % 3] for row in range(len(frame))]
    frame["review_id"] = [f"r{row}" if row % 3 else None for row in range(len(frame))]
    # No two events have the same mark, which names the user and the item.
    frame["mark"] = 100.0 * user + item
    return frame


def _events(frame=None, **options):
    frame = _frame() if frame is None else frame
    texts = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)
    store = VectorStore([f"r{row}" for row in range(60)], texts)
    given = {"min_rating": 1.0, "vectors": {"review": store}} | options
    return Interactions.from_frame(frame, Catalogue(ITEMS), **given)


@pytest.fixture(scope="module")
def events():
    return _events()


def _close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def _flat(batch):
    return batch["history_row"], batch["history_item"], batch["event_numbers"][:, 0]


def _padded(batch):
    place = np.argwhere(batch["history"].numpy() >= 0)
    values = batch["event_numbers"].numpy()
    assert not values[batch["history"].numpy() < 0].any()
    return place[:, 0], batch["history"].numpy()[tuple(place.T)], values[tuple(place.T)][:, 0]


@pytest.mark.parametrize(
    ("kind", "timed"),
    [
        *((kind, True) for kind in ("as_of", "pairs", "ranking", "validation")),
        *((kind, False) for kind in ("autoencoder", "held_out", "pairs", "ranking")),
    ],
)
def test_each_event_of_a_history_has_its_own_features(events, kind, timed):
    """The marks of a history are 100 u + i, so one of a target or another user would show."""
    if not timed:
        events = _events(_frame().drop(columns="timestamp"))
    split = events.split("temporal" if timed else "random", test=0.3)
    side = fitted_events(MARK.event, events)
    option = {"event_side": side}
    if kind == "ranking":
        batches = ranking_examples(events, 48, negatives=1, **option)
    elif kind == "validation":
        batches = split.test.batches(4, known=split.train, **option)
    else:
        more = {"max_cuts": 5} if kind == "as_of" else {}
        batches = events.batches(16, examples=kind, **option, **more)
    found = 0
    for batch in batches:
        rows, items, marks = _flat(batch) if "history_row" in batch else _padded(batch)
        users = batch["user"].numpy()[np.asarray(rows)]
        assert np.asarray(marks).tolist() == (100 * users + np.asarray(items)).tolist()
        found += len(users)
    assert found > 20


def test_validation_pairs_have_features_of_both_tables(events):
    split = events.split("temporal", test=0.3)
    side = fitted_events(MARK.event, split.train)
    batch = next(iter(split.test.batches(99, examples="pairs", known=split.train, event_side=side)))
    rows, items, marks = _padded(batch)
    users = batch["user"].numpy()[rows]
    assert marks.tolist() == (100 * users + items).tolist()
    later = {(u, i) for u, i in zip(split.test.user, split.test.item, strict=True)}
    assert any(pair in later for pair in zip(users, items, strict=True))


def test_repeated_events_differ():
    """The user takes one item four times, with the ratings 1 to 4."""
    frame = pd.DataFrame({"user_id": ["u"] * 5, "item_id": ["i0"] * 4 + ["i1"]})
    frame["timestamp"], frame["rating"] = 1.7e9 + DAY * np.arange(5), [1.0, 2, 3, 4, 5]
    events = _events(frame, repeats="all", vectors=None)
    side = fitted_events((Number(column="rating", scale="raw"),), events)
    counts = []
    for batch in events.batches(4, every_days=1.0, event_side=side):
        counts.append(len(batch["history_item"]))
        assert batch["event_numbers"][:, 0].numpy().tolist() == [1, 2, 3, 4][: counts[-1]]
    assert max(counts) >= 3


def test_it_starts_as_the_model_without_features(events):
    model, state = TwoTower(events, dim=4, features=FEATURES), State.of(events)
    vectors = tf.constant(np.random.default_rng(0).normal(size=(len(events), 4)), tf.float32)
    known = state.event_features(model.spec.event_side)
    np.testing.assert_array_equal(model.past_vectors(vectors, known), vectors)
    before = np.asarray(model.scorer(state)(np.arange(N_USERS)))
    for weight in model.event_side.trainable_weights:
        weight.assign_add(0.1 * tf.ones_like(weight))
    assert np.abs(model.past_vectors(vectors, known) - vectors).min() > 0
    assert np.abs(model.scorer(state)(np.arange(N_USERS)) - before).max() > 0
    # An event of which nothing is known changes nothing.
    unknown = tuple(
        np.repeat(part, len(events), 0) for part in unknown_event(model.spec.event_side)
    )
    np.testing.assert_array_equal(model.past_vectors(vectors, unknown), vectors)


def test_the_own_part_of_an_item_is_exact(events):
    """The user's vector is linear in those of the history: without an item's, its score is less."""
    for linear in (True, False):
        model = with_noise(TwoTower(events, dim=4, features=FEATURES, user_layer=linear))
        tower, side = model.user_tower, model.spec.event_side
        (batch,) = events.batches(99, examples="autoencoder", event_side=side)
        fused = model.tower(tf.range(N_ITEMS), tf.ones([N_ITEMS], tf.bool))
        known = tuple(batch[name] for name in ("event_categories", "event_numbers"))
        past = model.past_vectors(tf.gather(fused, batch["history_item"]), known)
        own = tower.self_scores(fused, {**batch, "history_vector": past}).numpy()
        given = {**batch, "history_size": tf.zeros([N_USERS, 2])}
        for place in (0, 5, 30):
            kept = np.ones((len(own), 1), np.float32)
            kept[place] = 0
            users = [tower({**given, "history_vector": one}) for one in (past, past * kept)]
            row = batch["history_row"][place]
            item = fused[batch["history_item"][place]]
            _close(own[place], tf.reduce_sum((users[0] - users[1])[row] * item))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_encoded_events_are_found_again(data):
    count, width, n_numbers = (data.draw(st.integers(low, 6)) for low in (0, 1, 0))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    categories = rng.integers(-1, 2, (count, width)).astype(np.int32)
    numbers = rng.choice(np.float32([0, -0.0, 1.5]), (count, n_numbers))
    unknown = np.full((1, width), -1, np.int32), np.zeros((1, n_numbers), np.float32)
    splits = np.array([0, count // 2, count])
    history = History(splits, np.arange(count, dtype=np.int32), None)
    events = EventFeatures(history, categories, numbers, unknown)
    found = events(events.flat(np.array([1, 0])))
    order = [*range(count // 2, count), *range(count // 2)]
    np.testing.assert_array_equal(found[0], categories[order])
    np.testing.assert_array_equal(found[1], numbers[order])
    padded = events.padded(np.array([0, 1]), 2)
    for row, first, last in ((0, 0, count // 2), (1, count // 2, count)):
        kept = min(2, last - first)
        nothing = np.repeat(unknown[0], 2 - kept, 0)
        expected = np.concatenate([nothing, categories[last - kept : last]])
        np.testing.assert_array_equal(events(padded[row])[0], expected)


def test_a_cut_state_has_the_last_events(events):
    side = fitted_events(MARK.event, events)
    state = State.of(events)
    whole = state.event_features(side)[1][:, 0].reshape(N_USERS, 8)
    _close(state.cut(3).event_features(side)[1][:, 0].reshape(N_USERS, 3), whole[:, -3:])
    assert len(state.cut(0).event_features(side)[1]) == 0
    early = State.of(events, float(np.median(events.timestamp)))
    assert len(early.event_features(side)[0]) == len(early.events)


def test_vectors_of_events(events):
    """Events of a multiple of 3, and those from row 60 on, have none."""
    held = in_histories(events)
    side = fitted_events((Vectors(column="review", whiten=False),), events)
    numbers = encoded_events(side, held)[1]
    texts = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float16)
    for row, ids in zip(numbers, held.context["review_id"], strict=True):
        here = isinstance(ids, str) and int(ids[1:]) < 60
        expected = [*texts[int(ids[1:])], 0] if here else [0, 0, 0, 1]
        np.testing.assert_allclose(row, expected, atol=2e-3)


def _planted(shuffled):
    """Ratings of three items of each of two kinds, then likes of the kind that was rated well.

    The history holds both kinds alike, so that only ratings tell the taste. A rating is history
    alone; half of the users have no likes, to be tested.
    """
    rng, frames = np.random.default_rng(0), []
    for user in range(240):
        even = user % 2 == 0
        items = np.concatenate([rng.permutation(10)[:3] * 2, rng.permutation(10)[:3] * 2 + 1])
        items = rng.permutation(items)
        rating = np.where((items % 2 == 0) == even, 5.0, 1.0)
        if shuffled:
            rating = rng.permutation(rating)
        rest = np.setdiff1d(np.arange(20), items)
        likes = rng.permutation(rest[(rest % 2 == 0) == even])[:3] if user < 120 else items[:0]
        frame = pd.DataFrame({"item": [*items, *likes], "rating": [*rating, *(5.0 for _ in likes)]})
        frame["weight"] = [0.0] * 6 + [1.0] * len(likes)
        order = np.arange(len(frame))
        frame["timestamp"] = 1.7e9 + 1000 * order + DAY * (order > 5)
        frames.append(frame.assign(user_id=f"u{user:03}"))
    frame = pd.concat(frames, ignore_index=True)
    frame["item_id"] = [f"i{i}" for i in frame.pop("item")]
    return _events(frame, vectors=None)


def _right(kind, events):
    """Share of the tested users whose scores are higher for the kind that they rated well."""
    keras.utils.set_random_seed(1)
    features = Features(event=[Number(column="rating")])
    if kind == "ranker":
        model = Ranker(events, dim=8, features=features, trend=False, hidden=[16], id_dropout=0.0)
        side = model.spec.event_side
        # All cuts lie before the likes, as a day lies between.
        options = {"horizon_days": 1.0, "every_days": 0.01, "negatives": 2, "event_side": side}
        batches = ranking_examples(events, 64, **options)
    else:
        model = TwoTower(events, dim=8, features=features, trend=False, id_dropout=0.0)
        side = model.spec.event_side
        batches = events.batches(32, every_days=0.1, max_cuts=20, event_side=side)
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(batches, epochs=-(-150 // len(batches)), verbose=0)
    users = np.arange(120, 240)
    scores = np.asarray(model.scorer(State.of(events))(users))
    even = np.arange(N_ITEMS) % 2 == 0
    gap = scores[:, even].mean(1) - scores[:, ~even].mean(1)
    return np.mean((gap > 0) == (users % 2 == 0))


@pytest.mark.parametrize(
    "kind", ["two_tower", pytest.param("ranker", marks=pytest.mark.acceptance)]
)
def test_it_learns_which_past_items_predict(kind):
    assert _right(kind, _planted(shuffled=False)) > 0.9


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("two_tower", marks=pytest.mark.slow),
        pytest.param("ranker", marks=pytest.mark.acceptance),
    ],
)
def test_shuffled_ratings_tell_nothing(kind):
    """The control: 120 coins give .5 with a deviation of .05."""
    assert 0.3 < _right(kind, _planted(shuffled=True)) < 0.7


def test_events_of_weight_0_are_history_alone():
    frame = _frame().drop(columns="timestamp").assign(weight=1.0)
    frame.loc[frame["rating"] < 4, "weight"] = 0.0
    frame.loc[frame["user_id"] == "u0", "weight"] = 0.0
    events, disliked = _events(frame), set()
    for user, item in frame.loc[frame["weight"] == 0, ["user_id", "item_id"]].to_numpy():
        disliked.add((int(user[1:]), int(item[1:])))
    for kind in ("autoencoder", "held_out"):
        batches = events.batches(99, examples=kind)
        split = events.split("random", test=0.2)
        later = split.test.batches(99, examples=kind, known=split.train)
        for batch in (next(iter(batches)), next(iter(later))):
            users, history = batch["user"].numpy(), batch["history_item"].numpy()
            targets = batch["target"].numpy()
            assert not {(users[u], i) for u, i in targets.tolist()} & disliked
            past = set(zip(users[batch["history_row"]], history, strict=True))
            assert len(past & disliked) > 5
            assert set(users) == set(users[targets[:, 0]])


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([Number(column="stars")], "columns of the declared features are missing: stars"),
        ([Category(column="tags")], "'tags' is a category, and holds a list.*declare it as Tags"),
        ([Number(column="event")], "column 'event' must be numeric"),
        ([Vectors(column="rating")], "'rating' holds vectors"),
    ],
)
def test_columns_that_do_not_fit_are_refused(events, features, message):
    with pytest.raises(InputError, match=rf"^interactions: .*{message}"):
        TwoTower(events, dim=2, features=Features(event=features))


def test_what_has_no_features_of_events_is_refused(events):
    with pytest.raises(InputError, match="must not read 'label'"):
        Features(event=[Number(column="label")])
    for kind, model in (("TwoTower", TwoTower), ("Ranker", Ranker)):
        with pytest.raises(InputError, match=rf"^{kind}: features: .*user='id' does not read"):
            model(events, dim=2, features=MARK, user="id")
    model = TwoTower(events, dim=2, features=MARK)
    with pytest.raises(
        InputError, match=r"no 'event_categories'.*event_side=model.spec.event_side"
    ):
        model.fit(events.batches(16))
    bare = _events(_frame().drop(columns="mark"))
    with pytest.raises(InputError, match="past events that the events lack: mark"):
        model.scorer(State.of(bare))


@pytest.mark.slow
def test_importance_and_coverage_know_the_side(events):
    split = events.split("temporal", test=0.3)
    model = with_noise(TwoTower(split.train, dim=4, features=FEATURES))
    held = in_histories(split.train)
    coverage = feature_coverage(model, split.train)
    assert coverage["event/event"] == held.context["event"].notna().mean()
    assert coverage["event/rating"] == 1
    found = feature_importance(model, split, features=["event/event", "event/rating"], repeats=1)
    assert set(found["feature"]) == {"event", "rating"}
    ranker = with_noise(Ranker(split.train, dim=4, features=FEATURES))
    found = feature_importance(ranker, split, features=["event/rating"], repeats=1)
    assert found["drop"].abs().max() > 0


def test_shares_add_up_to_the_score(events):
    model = with_noise(TwoTower(events, dim=4, features=FEATURES))
    frame = explain(model, events, "u3", ["i1", "i2"])
    scores = np.asarray(model.scorer(State.of(events))(np.array([events.users.rows(["u3"])[0]])))
    _close(frame["score"], scores[0, 1:3])
    _close(frame[["id", "context", "bias"]].sum(axis=1), frame["score"])
