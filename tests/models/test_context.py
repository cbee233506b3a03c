"""Declared features of the context, from training to the export."""

import json

import numpy as np
import pandas as pd
import pytest
from featured import with_noise

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import explain
from tfrec_fusion.evaluation.ranking_report import evaluate_ranker
from tfrec_fusion.examples import as_of_examples, pair_examples, ranking_examples
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.export.reference.reference import Reference
from tfrec_fusion.features import Category, Features, Number, Side, State, Tags, Time
from tfrec_fusion.features.context import neutral_context
from tfrec_fusion.models import Ranker, TwoTower

N, DAY = 10, 86_400.0  # the last two items are cold
ITEMS = pd.DataFrame({"item_id": [f"i{row}" for row in range(N)]})
# An event each 15 hours, the last of which is at a quarter past noon of a Thursday.
START = 1_700_000_000.0 - 1_700_000_000.0 % (7 * DAY) + DAY / 2 + 900 - 63 * 54_000
FEATURES = Features(
    context=[
        Category(column="device"),
        Number(column="basket"),
        Tags(column="sources"),
        Time(column="timestamp", parts=("hour",)),
    ]
)


def _events(**columns):
    """User u takes items in turn, even ones on a tv and odd ones on a pc."""
    user = np.repeat(np.arange(8), 8)
    order = np.arange(64).reshape(8, 8).T.ravel()
    item = (np.arange(64) + user) % 8
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in user],
            "item_id": [f"i{i}" for i in item],
            "timestamp": START + 54_000.0 * order,
            "device": np.where(item % 2, "pc", "tv"),
            "basket": np.where(order % 5, 1.0 * order, np.nan),
            "sources": [["ad", "mail"][: 1 + i % 2] for i in item],
        }
    ).assign(**columns)
    return Interactions.from_frame(frame, Catalogue(ITEMS))


@pytest.fixture(scope="module")
def events():
    return _events()


@pytest.fixture(scope="module")
def trained(events):
    keras.utils.set_random_seed(0)
    model = TwoTower(events, dim=8, features=FEATURES, trend=False, id_dropout=0.0)
    model.compile(keras.optimizers.Adam(0.03))
    batches = events.batches(16, examples="pairs", context_side=model.spec.context_side)
    model.fit(batches, epochs=12, verbose=0)
    return model


@pytest.fixture(scope="module")
def version(trained, events, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    return export(trained, events, folder, deployment=False, explain=True)


def _close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_pairs_have_the_events_own_context(events):
    model = TwoTower(events, dim=4, features=FEATURES, trend=False)
    side = model.spec.context_side
    batch = next(iter(pair_examples(events, 64, shuffle=False, context_side=side)))
    own = events.context.assign(timestamp=events.timestamp)
    for name, expected in zip(
        ("context_categories", "context_numbers"), side.encode(own), strict=True
    ):
        np.testing.assert_array_equal(batch[name], expected)
    # The last event of the last user: hour 12:15, the angle is 2 pi (12.25 / 24).
    angle = 2 * np.pi * 12.25 / 24
    _close(batch["context_numbers"][-1, 2:], [np.sin(angle), np.cos(angle), 0])


def test_as_of_examples_have_the_context_of_the_first_target(events):
    """The categories of device are tv 1 and pc 2, i.e. 1 + item % 2, as both occur 32 times."""
    side = TwoTower(events, dim=4, features=FEATURES).spec.context_side
    known = {value: row for row, value in enumerate(side.features[0].values)}
    batches = as_of_examples(events, 4, every_days=3.0, horizon_days=10.0, context_side=side)
    times = {(u, i): t for u, i, t in zip(events.user, events.item, events.timestamp, strict=True)}
    found = 0
    for batch in batches:
        target = batch["target"].numpy()
        for row, user in enumerate(batch["user"].numpy()):
            items = target[target[:, 0] == row, 1]
            first = min(items, key=lambda item, user=user: times[user, item])
            device = ["tv", "pc"][first % 2]
            assert batch["context_categories"][row, 0] == 1 + known[device]
            turns = times[user, first] / DAY % 1
            _close(batch["context_numbers"][row, 2], np.sin(2 * np.pi * turns))
            found += 1
    assert found > 10


def test_repeated_events_have_a_context_of_their_own():
    """The event after the history is the first target, whether or not the item is new."""
    user, order = np.repeat([0, 1], 6), np.tile(np.arange(6), 2)
    frame = pd.DataFrame({"user_id": [f"u{u}" for u in user]})
    frame["item_id"] = [f"i{i}" for i in order % 2]
    frame["timestamp"] = START + DAY * (2 * order + user)
    frame["device"] = [f"d{u}{o}" for u, o in zip(user, order, strict=True)]
    events = Interactions.from_frame(frame, Catalogue(ITEMS), repeats="all")
    side = Side.fit("interactions", (Category(column="device"),), events.context)
    row_of = {value: 1 + row for row, value in enumerate(side.features[0].values)}
    found = 0
    for batch in as_of_examples(events, 2, every_days=1.0, horizon_days=3.0, context_side=side):
        lengths = np.bincount(batch["history_row"], minlength=len(batch["user"]))
        expected = [
            row_of[f"d{u}{length}"] for u, length in zip(batch["user"], lengths, strict=True)
        ]
        assert batch["context_categories"][:, 0].numpy().tolist() == expected
        found += len(expected)
    assert found > 4


def test_validation_has_the_context_of_the_first_new_item(events):
    split = events.split("temporal", test=0.2)
    side = TwoTower(split.train, dim=4, features=FEATURES).spec.context_side
    later = split.test.first_events()
    for batch in split.test.batches(4, known=split.train, context_side=side):
        for row, user in enumerate(batch["user"].numpy()):
            first = later.select(np.flatnonzero(later.user == user)[:1])
            frame = first.context.assign(timestamp=first.timestamp)
            for name, expected in zip(
                ("context_categories", "context_numbers"), side.encode(frame), strict=True
            ):
                np.testing.assert_array_equal(batch[name][row], expected[0])


def test_it_learns_which_items_are_taken_on_which_device(events, trained):
    """Even items are taken on a tv. The control knows no device."""
    signatures = _score(trained, events)
    even = np.arange(8) % 2 == 0
    for device, sign in (("tv", 1), ("pc", -1)):
        scores = signatures(device=device)[:, :8]
        assert (sign * (scores[:, even].mean(1) - scores[:, ~even].mean(1)) > 0).mean() > 0.9
    neutral = signatures()
    gaps = [np.abs(signatures(device=d) - neutral).mean() for d in ("tv", "pc")]
    assert min(gaps) > 0.1


def _score(model, events):
    """Scores of all users in a context, by the model itself."""
    state, side = State.of(events), model.spec.context_side

    def scores(**context):
        frame = {name: [np.nan] for name in side.columns} | {n: [v] for n, v in context.items()}
        frame.setdefault("timestamp", [state.time])
        if "timestamp" not in context:
            frame["timestamp"] = [state.time]
        encoded = [np.repeat(part, 8, 0) for part in side.encode(pd.DataFrame(frame))]
        users = np.arange(8, dtype=np.int32)
        items, rows, ages = state.flat_histories(users)
        vectors = model.item_vectors(
            tf.range(N), np.zeros((N, 0), np.float32), tf.constant(state.seen)
        )
        fused = tf.gather(vectors[:, : model.config.dim], items)
        left = model.user_vectors(
            tf.constant(users), fused, items, rows, ages, context=tuple(map(tf.constant, encoded))
        )
        return tf.matmul(left, vectors, transpose_b=True).numpy()

    return scores


def test_a_scorer_knows_only_the_time_of_the_state(events, trained):
    found = trained.scorer(State.of(events))(np.arange(8, dtype=np.int32))
    _close(found, _score(trained, events)())
    other = trained.scorer(State.of(events, at=State.of(events).time + DAY / 2))
    assert np.abs(other(np.arange(8, dtype=np.int32)) - found).max() > 1e-3


def _given(rows, **given):
    return {
        "device": tf.constant(given.get("device", [""] * rows)),
        "basket": tf.constant(given.get("basket", [np.nan] * rows), tf.float64),
        "sources": tf.constant(given.get("sources", [[]] * rows), tf.string),
        "time": tf.constant(given.get("time", [np.nan] * rows), tf.float64),
    }


def test_an_export_takes_the_context_of_requests(events, trained, version):
    signatures = tf.saved_model.load(str(version)).signatures
    users = tf.constant([f"u{row}" for row in range(8)])
    items = tf.constant([ITEMS["item_id"].tolist()] * 8)
    model = _score(trained, events)
    for given in (
        {},
        {"device": "pc"},
        {"basket": 3.0, "device": "new"},
        {"sources": ["mail", "x"]},
        {"time": START, "device": "tv"},
    ):
        asked = _given(8, **{name: [value] * 8 for name, value in given.items()})
        found = signatures["score"](user_id=users, item_id=items, **asked)["score"]
        given["timestamp"] = given.pop("time", State.of(events).time)
        _close(found, model(**given))
    answer = signatures["explain"](
        user_id=users,
        item_id=items,
        history=tf.fill([8, 0], ""),
        history_age=tf.zeros([8, 0]),
        **_given(8, device=["pc"] * 8),
    )
    shares = [value for name, value in answer.items() if name != "score"]
    _close(tf.add_n(shares), answer["score"])
    _close(answer["score"], model(device="pc"))
    assert np.abs(answer["share_request"]).mean() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_fewer_bytes_change_little(events, trained, tmp_path, precision):
    version = export(trained, events, tmp_path / "shop", precision=precision, deployment=False)
    served = tf.saved_model.load(str(version)).signatures["score"]
    users = tf.constant([f"u{row}" for row in range(8)])
    items = tf.constant([ITEMS["item_id"].tolist()] * 8)
    asked = _given(8, device=["pc"] * 8, time=[START] * 8)
    found = served(user_id=users, item_id=items, **asked)["score"]
    expected = _score(trained, events)(device="pc", timestamp=START)
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_a_recommender_takes_a_context_or_none(trained, version, events):
    shop = Recommender(version)
    assert shop.features == ("device", "basket", "sources", "time")
    model = _score(trained, events)
    cold = [f"i{row}" for row in (8, 9)]  # the user has the others
    for context in ({}, {"device": "pc", "time": START, "sources": ["ad"]}):
        found = dict(shop.recommend("u3", k=N, features=context))
        expected = model(
            **{{"time": "timestamp"}.get(name, name): value for name, value in context.items()}
        )
        _close([found[item] for item in cold], expected[3, 8:])


def test_the_reference_knows_the_contexts_of_training(version):
    """32 events on each device, 13 of 64 without a basket; tags and times are left out."""
    features = Reference.load(version).features
    assert set(features) == {"device", "basket"}
    semantics = " ".join(json.loads((version / "model_card.json").read_text())["semantics"])
    assert "without a time is at the time of the export" in semantics
    assert "Features of users" not in semantics
    assert (features["device"].values, features["device"].counts) == (["pc", "tv"], [32, 32, 0, 0])
    assert features["basket"].psi(np.array([np.nan] * 64)) > 1


def test_explain_splits_off_the_time_of_the_state(events, trained):
    frame = explain(trained, events, ["u0", "u1"], ["i0", "i3"])
    parts = frame[["id", "request", "context", "bias"]]
    _close(parts.sum(axis=1), frame["score"])
    assert frame["request"].abs().max() > 1e-3


def test_dropout_hides_all_but_the_time(events):
    from tfrec_fusion.models.objectives.context_dropout import hidden_contexts

    side = TwoTower(events, dim=4, features=FEATURES).spec.context_side
    batch = next(iter(pair_examples(events, 64, shuffle=False, context_side=side)))
    hidden = hidden_contexts(batch, side, 0.5, tf.constant([1, 2], tf.int64))
    nothing = neutral_context(side)[1][0]
    gone = hidden["context_categories"][:, 0].numpy() < 0
    assert 15 < gone.sum() < 50
    for name in ("context_categories", "context_numbers"):
        np.testing.assert_array_equal(hidden[name][~gone], batch[name][~gone])
    assert (hidden["context_categories"].numpy()[gone] == -1).all()
    np.testing.assert_array_equal(
        hidden["context_numbers"].numpy()[gone, :2], np.tile(nothing[:2], (gone.sum(), 1))
    )
    np.testing.assert_array_equal(
        hidden["context_numbers"].numpy()[gone, 2:], batch["context_numbers"].numpy()[gone, 2:]
    )


def test_a_two_tower_comes_back_from_a_file(events, trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    users = np.arange(8, dtype=np.int32)
    state = State.of(events)
    _close(loaded.scorer(state)(users), trained.scorer(state)(users))


@pytest.mark.slow
def test_a_ranker_reads_the_context(events, tmp_path):
    model = with_noise(Ranker(events, dim=4, hidden=[4], features=FEATURES))
    users = np.arange(8, dtype=np.int32)
    state = State.of(events)
    scores = model.scorer(state)(users)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    _close(loaded.scorer(state)(users), scores)
    version = export(model, events, tmp_path / "shop", deployment=False)
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    asked = {
        "user_id": tf.constant(events.users.ids),
        "item_id": tf.constant([[*ITEMS["item_id"]]] * 8),
    }
    _close(served(**asked, **_given(8))["score"], scores)
    device = served(**asked, **_given(8, device=["pc"] * 8))["score"]
    assert np.abs(device - scores).max() > 0.01
    # As the only thing that is known of a request is its time, half a day later is another state.
    later = served(**asked, **_given(8, time=[state.time + DAY / 2] * 8))["score"]
    assert np.abs(later - scores).max() > 1e-3


@pytest.mark.slow
def test_a_ranker_learns_what_is_taken_on_which_device():
    """The device tells the event's item from half of the others: GAUC .75 instead of .5."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": rng.integers(0, 60, 1500), "item": rng.integers(0, 40, 1500)})
    frame = frame.drop_duplicates()
    frame["device"] = np.where(frame["item"] % 2, "pc", "tv")
    for name in ("user", "item"):
        frame[f"{name}_id"] = name[0] + frame[name].astype(str)
    shop = Catalogue(pd.DataFrame({"item_id": [f"i{row}" for row in range(40)]}))
    rows = frame[["user_id", "item_id", "device"]]
    split = Interactions.from_frame(rows, shop).split("random", test=0.3)
    keras.utils.set_random_seed(0)
    options = {"dim": 8, "hidden": [16], "id_dropout": 0.0}
    found = []
    for features in (Features(), Features(context=FEATURES.context[:1])):
        model = Ranker(split.train, features=features, **options)
        batches = ranking_examples(
            split.train, 32, negatives=2, context_side=model.spec.context_side
        )
        model.compile(keras.optimizers.Adam(0.02))
        model.fit(batches, epochs=6, verbose=0)
        found.append(evaluate_ranker(model, split).gauc)
    assert found[1] > found[0] + 0.1


@pytest.mark.parametrize("make", [TwoTower, Ranker])
@pytest.mark.parametrize(
    ("features", "says"),
    [
        ([{"kind": "category", "column": "x"}], "interactions: 1 columns .* missing: x"),
        ([{"kind": "number", "column": "device"}], "'device' must be numeric"),
        ([{"kind": "category", "column": "sources"}], "declare it as Tags"),
    ],
)
def test_a_mistake_is_named(events, make, features, says):
    with pytest.raises(InputError, match=says):
        make(events, dim=4, features={"context": features})


def test_batches_without_the_context_are_refused(events, trained):
    for batches in (
        events.batches(16, examples="pairs"),
        events.batches(16, examples="autoencoder"),
        events.batches(16),
    ):
        with pytest.raises(InputError, match=r"no 'context_categories'.*context_side=model\.spec"):
            trained.fit(batches, verbose=0)
    ranker = Ranker(events, dim=4, hidden=[4], features=FEATURES)
    ranker.compile("adam")
    with pytest.raises(InputError, match=r"no 'context_categories'.*ranking_examples\(events"):
        ranker.fit(ranking_examples(events, 16, negatives=1), verbose=0)
    other = TwoTower(events, dim=4, features=Features(context=FEATURES.context[:1]), trend=False)
    batches = events.batches(16, examples="pairs", context_side=other.spec.context_side)
    with pytest.raises(InputError, match=r"context_categories: the model reads 3 columns.*: 1"):
        trained.fit(batches, verbose=0)
