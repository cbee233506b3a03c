"""What a model sees of the events: the first positive one of each pair, whoever asks."""

import itertools

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.export import export
from tfrec_fusion.features import State
from tfrec_fusion.features.item_trend import ItemTrend
from tfrec_fusion.models import AlphaRec, Ranker, TwoTower, classic
from tfrec_fusion.times import DAY

N_ITEMS, N_USERS, START = 30, 20, 1.6e9


def _shop():
    rng = np.random.default_rng(3)
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(N_ITEMS)]})
    return Catalogue(items, vectors={"text": rng.normal(size=(N_ITEMS, 6)).astype(np.float32)})


def _table(n=300):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(0, N_USERS, n)],
            "item_id": [f"i{i}" for i in rng.integers(0, N_ITEMS - 5, n)],
            "timestamp": START + np.sort(rng.integers(0, 100 * int(DAY), n)),
        }
    )
    return frame.drop_duplicates(["user_id", "item_id"])


SHOP, CLEAN = _shop(), _table()


def _clean(times=True):
    return _read(CLEAN if times else CLEAN.drop(columns="timestamp"))


def _read(frame):
    return Interactions.from_frame(frame.sample(frac=1, random_state=1), SHOP)


def _with_impressions(times=True):
    """The clean events, and nine times as many that were shown and not taken, before and after."""
    rng = np.random.default_rng(7)
    n = 9 * len(CLEAN)
    shown = pd.DataFrame(
        {
            "user_id": rng.choice(CLEAN["user_id"].unique(), n),
            "item_id": [f"i{i}" for i in rng.integers(0, N_ITEMS, n)],
            "timestamp": START + rng.uniform(-50, 150, n) * DAY,
            "label": rng.choice([0.0, -1.0], n),
        }
    )
    both = pd.concat([CLEAN.assign(label=1.0), shown])
    return _read(both if times else both.drop(columns="timestamp"))


def _with_repeats():
    """The clean events, and later ones of the same pairs."""
    again = CLEAN.sample(frac=2, replace=True, random_state=2)
    again["timestamp"] = CLEAN["timestamp"].max() - np.arange(len(again)) % 7
    later = again.merge(CLEAN, on=["user_id", "item_id"], suffixes=("", "_first"))
    later = later[later["timestamp"] > later["timestamp_first"]]
    return _read(pd.concat([CLEAN, later[CLEAN.columns]]))


SOURCES = {"impressions": _with_impressions, "repeats": _with_repeats}


@pytest.fixture(scope="module")
def models():
    tf.keras.utils.set_random_seed(0)
    events = _clean()
    made = {
        "two_tower": TwoTower(events, dim=8, trend_hidden=4),
        "ranker": Ranker(events, dim=8, hidden=(8,)),
        "alpha_rec": AlphaRec(events, dim=8),
    }
    for model in made.values():
        for variable in model.trainable_variables:
            noise = np.random.default_rng(0).normal(size=variable.shape)
            variable.assign_add(0.1 * noise.astype(np.float32))
    return made


def _by_id(events, values):
    """Rows of users in the order of their ids, whichever order the vocabulary has."""
    return values[np.argsort(events.users.ids)]


def _histories(events):
    histories = events.histories()
    rows = np.argsort(events.users.ids)
    return [value for row in rows for value in [histories.lengths[row], *histories.of(row)]]


def _batches(kind, **options):
    def arrays(events):
        users = np.sort(events.users.ids)
        batches = events.encode_users(type(events.users)(users)).batches(
            64, examples=kind, seed=1, **options
        )
        return [array for batch in batches.as_numpy_iterator() for array in batch.values()]

    return arrays


def _scores(name):
    def scores(events, models):
        users = np.arange(len(events.users), dtype=np.int32)
        return _by_id(events, np.asarray(models[name].scorer(State.of(events))(users)))

    return scores


def _baseline(make):
    def scores(events):
        users = np.arange(len(events.users), dtype=np.int32)
        return _by_id(events, make().fit(events).scorer(State.of(events))(users))

    return scores


def _trend(events):
    trend = ItemTrend(events)
    return [trend.end, *trend.at(trend.end), *trend.at(START + 50 * DAY)]


def _log_shares(events):
    model = TwoTower(events, dim=4, trend=False)
    return model.item_log_share.numpy()


def _whitened(events):
    return [layer.matrix.numpy() for layer in TwoTower(events, dim=4).tower.frozen.values()]


def _split(kind):
    def sides(events):
        split = events.split(kind, test=0.3, seed=2)
        users, targets = split.targets()
        order = np.argsort(split.train.users.ids[users])
        found = [targets.of(row) for row in order]
        return [split.time or 0, *split.train.matrix().sum(0).tolist(), *found]

    return sides


def _evaluation(events):
    split = events.split("temporal", test=0.3)
    report = evaluate(classic.Popularity().fit(split.train), split, bootstrap=0)
    return [value for row in report.metrics.values() for value in row.values()]


CONSUMERS = {
    "matrix": lambda events: _by_id(events, events.matrix().toarray()),
    "item_counts": lambda events: events.item_counts(),
    "histories": _histories,
    "trend": _trend,
    "as_of": _batches("as_of"),
    "autoencoder": _batches("autoencoder"),
    "held_out": _batches("held_out"),
    "log shares": _log_shares,
    "whitening": _whitened,
    "temporal split": _split("temporal"),
    "leave-one-out split": _split("leave_one_out"),
    "evaluate": _evaluation,
    "popularity": _baseline(classic.Popularity),
    "recent popularity": _baseline(classic.RecentPopularity),
    "item-kNN": _baseline(classic.ItemKNN),
    "EASE": _baseline(classic.EASE),
    "text mean": _baseline(lambda: classic.TextMean(dims=4)),
    "TwoTower.scorer": _scores("two_tower"),
    "Ranker.scorer": _scores("ranker"),
    "AlphaRec.scorer": _scores("alpha_rec"),
}


# One pair a row: there a repeat is a row as well.
ROWS = {("log shares", "repeats")}


@pytest.mark.parametrize(
    ("consumer", "source"),
    [pair for pair in itertools.product(CONSUMERS, SOURCES) if pair not in ROWS],
)
def test_every_consumer_sees_the_first_positive_events_alone(consumer, source, models):
    ask = CONSUMERS[consumer]
    more = (models,) if consumer.endswith(".scorer") else ()
    expected, found = ask(_clean(), *more), ask(SOURCES[source](), *more)
    if not isinstance(expected, list):
        expected, found = [expected], [found]
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("two_tower", "repeats"),
        ("ranker", "impressions"),
        pytest.param("two_tower", "impressions", marks=pytest.mark.slow),
        pytest.param("ranker", "repeats", marks=pytest.mark.slow),
    ],
)
def test_an_export_serves_the_first_positive_events_alone(tmp_path, source, name, models):
    answers = []
    users, items = np.sort(_clean().users.ids), SHOP.vocabulary.ids
    for events in (_clean(), SOURCES[source]()):
        version = export(models[name], events, tmp_path / name, deployment=False)
        served = tf.saved_model.load(str(version))
        question = {"item_id": tf.constant(np.tile(items, (len(users), 1)))}
        signature = "score" if name == "two_tower" else "serving_default"
        answer = served.signatures[signature](user_id=tf.constant(users), **question)
        titles = pd.read_parquet(version / "assets.extra" / "items.parquet")
        answers.append((answer["score"].numpy(), titles["events"].tolist()))
    np.testing.assert_allclose(answers[1][0], answers[0][0], rtol=1e-5, atol=1e-5)
    assert answers[1][1] == answers[0][1]


def test_impressions_stay_rows_of_rankers_and_in_the_split():
    events = _with_impressions()
    for kind in ("temporal", "leave_one_out", "random", "none"):
        split = events.split(kind, test=0.3)
        sides = [split.train, split.test]
        assert sum(side.is_impression.sum() for side in sides) == events.is_impression.sum()
        assert sum(len(side.positives()) for side in sides) == len(CLEAN)
    split = events.split(test=0.3)
    assert (split.train.timestamp < split.time).all()
    assert (split.test.timestamp >= split.time).all()
    batches = list(ranking_examples(split.train, 256, history=8).as_numpy_iterator())
    label = np.concatenate([batch["label"] for batch in batches])
    assert (label <= 0).sum() == split.train.is_impression.sum()
    history = np.concatenate([batch["history"] for batch in batches])
    seen = set(split.train.positives().item)
    assert set(history[history >= 0]) <= seen


def test_an_item_that_was_shown_and_not_taken_may_be_a_negative():
    # u took a and was shown b; v took c. The only items that u lacks are b and c.
    frame = pd.DataFrame(
        [("u", "a", 1, 1), ("u", "b", 2, 0), ("v", "c", 3, 1)],
        columns=["user_id", "item_id", "timestamp", "label"],
    )
    shop = Catalogue(pd.DataFrame({"item_id": list("abc")}))
    events = Interactions.from_frame(frame, shop)
    rows = events.batches(1, examples="pairs", negatives=40, shuffle=False).as_numpy_iterator()
    first, second, _ = rows
    assert set(first["item"][1:]) == set(second["item"][1:]) == {1, 2}
    # The history of the impression has what was taken; b is in no history.
    assert second["history"][0, -2:].tolist() == [-1, 0]
    assert first["history"][0, -1] == -1


def test_an_impression_and_a_positive_of_a_pair_without_times_are_no_repeats():
    frame = pd.DataFrame({"user_id": ["u", "u", "u"], "item_id": ["a", "a", "b"]})
    shop = Catalogue(pd.DataFrame({"item_id": list("ab")}))
    events = Interactions.from_frame(frame.assign(label=[0, 1, 1]), shop)
    assert events.histories().of(0).tolist() == [0, 1]
    with pytest.raises(InputError, match="1 repeated user-item pairs"):
        Interactions.from_frame(frame.assign(label=[1, 1, 0]), shop)


def test_repeats_of_unknown_users_are_told_by_who_they_were():
    # v is unknown to the vocabulary; its repeat of a is still one, and w's event is none.
    frame = pd.DataFrame(
        [("u", "a", 1), ("v", "a", 2), ("v", "a", 3), ("w", "a", 4)],
        columns=["user_id", "item_id", "timestamp"],
    )
    shop = Catalogue(pd.DataFrame({"item_id": ["a"]}))
    events = Interactions.from_frame(frame, shop)
    known = events.select(np.array([True, False, False, False])).split("none").train.users
    assert events.encode_users(known).first_events().timestamp.tolist() == [1, 2, 4]
    assert events.encode_users(known).item_counts().tolist() == [3]


def test_a_user_of_impressions_alone_is_not_evaluated():
    rows = [("u", "a", 1, 1), ("v", "a", 2, 0), ("u", "b", 8, 1), ("v", "b", 9, 1)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "label"])
    shop = Catalogue(pd.DataFrame({"item_id": list("ab")}))
    split = Interactions.from_frame(frame, shop).split(test=0.5)
    users, targets = split.targets()
    assert split.train.users.ids[users].tolist() == ["u"]
    assert targets.items.tolist() == [1]


def test_impressions_alone_are_refused():
    events = _read(CLEAN.assign(label=0.0))
    with pytest.raises(InputError, match="none of 229 events can be a target: all have a label"):
        events.split()
    with pytest.raises(InputError, match="is positive; a positive event"):
        events.batches()
