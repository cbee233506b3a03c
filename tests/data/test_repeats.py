"""Repeated events that count: histories, splits, examples, scores and exports."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import compare, evaluate, explain
from tfrec_fusion.evaluation.baselines import default_baselines
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.export import Recommender, export, refresh
from tfrec_fusion.features import State
from tfrec_fusion.models import AlphaRec, Ranker, TwoTower
from tfrec_fusion.models.classic import EASE, PersonalFrequency, Popularity

DAY = 86_400.0
ITEMS = [f"i{row}" for row in range(6)]
# Ada takes i0 three times and i1 once, Bea i2 twice; on day 10 and later Ada takes i0 and i3.
ROWS = [
    ("ada", "i0", 0),
    ("ada", "i1", 1),
    ("bea", "i2", 2),
    ("ada", "i0", 3),
    ("bea", "i2", 4),
    ("ada", "i0", 5),
    ("ada", "i0", 10),
    ("ada", "i3", 11),
    ("ada", "i0", 12),
    ("bea", "i4", 13),
]


def _events(rows=ROWS, repeats="all", **options):
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "day"])
    frame["timestamp"] = 1.6e9 + DAY * frame.pop("day")
    vectors = {"text": np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)}
    catalogue = Catalogue(pd.DataFrame({"item_id": ITEMS}), vectors)
    return Interactions.from_frame(frame, catalogue, repeats=repeats, **options)


@pytest.fixture(scope="module")
def split():
    return _events().split("temporal", test=0.4)


def test_every_event_counts_in_time_order(split):
    events = _events(ROWS[::-1])
    histories = events.histories()
    ada = int(events.users.rows(["ada"])[0])
    assert histories.of(ada).tolist() == [0, 1, 0, 0, 0, 3, 0]
    assert events.item_counts().tolist() == [5, 1, 2, 1, 1, 0]
    assert events.with_repeats("first").item_counts().tolist() == [1, 1, 1, 1, 1, 0]
    state = State.of(split.train)
    ada = int(split.train.users.rows(["ada"])[0])
    assert state.matrix[ada].toarray().tolist() == [[3, 1, 0, 0, 0, 0]]
    assert state.cut(2).matrix[ada].toarray().tolist() == [[2, 0, 0, 0, 0, 0]]


def test_test_items_of_the_history_are_targets(split):
    users, targets = split.targets()
    ids = split.train.users.ids[users].tolist()
    assert {name: targets.of(place).tolist() for place, name in enumerate(ids)} == {
        "ada": [0, 3],
        "bea": [4],
    }
    first = Split(split.train.with_repeats("first"), split.test.with_repeats("first"), "temporal")
    users, targets = first.targets()
    assert [targets.of(place).tolist() for place in range(len(users))] == [[3], [4]]


def test_the_protocol_counts_what_is_taken_again(split):
    report = evaluate(PersonalFrequency().fit(split.train), split, k=[1, 2], bootstrap=0)
    assert report.counts["total"] == {"users": 2, "targets": 3}
    assert report.counts["repeated"] == {"users": 1, "targets": 1}
    assert report.counts["novel"] == {"users": 2, "targets": 2}
    # Ada's list is i0, i1; Bea's i2, then five tied items, among them i4.
    assert report.metrics["repeated"]["ndcg@1"] == 1.0
    assert report.metrics["total"]["recall@1"] == pytest.approx((0.5 + 0) / 2)
    assert report.metrics["total"]["recall@2"] == pytest.approx((0.5 + 1 / 5) / 2)
    assert report.split == "temporal, repeats"
    first = Split(split.train.with_repeats("first"), split.test.with_repeats("first"), "temporal")
    other = evaluate(Popularity().fit(first.train), first, k=[1, 2], bootstrap=0)
    assert "repeated" not in other.metrics
    with pytest.raises(InputError, match="same split"):
        compare([report, other])


def test_the_baselines_know_the_user_s_own(split):
    assert "PersonalFrequency" in [type(one).__name__ for one in default_baselines(split.train)]
    with pytest.raises(InputError, match=r"repeated events must count; .* repeats='all'"):
        PersonalFrequency().fit(split.train.with_repeats("first"))


@pytest.mark.parametrize("candidates", [None, 3])
def test_as_of_examples_do_not_mask_the_history(split, candidates):
    batches = split.train.batches(8, candidates=candidates, every_days=1.0, horizon_days=3.0)
    again = False
    for batch in batches.as_numpy_iterator():
        assert "masked" not in batch
        column = batch["target"][:, 1]
        items = batch["candidate"][column] if candidates else column
        pairs = list(zip(batch["target"][:, 0].tolist(), items.tolist(), strict=True))
        assert len(set(pairs)) == len(pairs)
        had = set(zip(batch["history_row"].tolist(), batch["history_item"].tolist(), strict=True))
        again |= bool(had & set(pairs))
    assert again


@pytest.fixture(scope="module")
def model(split):
    """A two-tower with random weights for repeated events."""
    keras.utils.set_random_seed(0)
    model = TwoTower(split.train, dim=4, trend_hidden=4)
    for weight in model.repeat_score.trainable_weights:
        weight.assign(keras.initializers.RandomNormal(seed=1)(weight.shape))
    return model


@pytest.fixture(scope="module")
def expected(model, split):
    return model.scorer(State.of(split.train))(np.arange(2))


def test_sampled_candidates_have_the_same_scores(model, split):
    whole = next(iter(split.train.batches(8, every_days=1.0, horizon_days=3.0)))
    chosen = np.array([0, 2, 5], np.int32)
    sampled = dict(whole) | {"candidate": chosen, "log_q": np.zeros(3, np.float32)}
    for name in ("item_features", "is_warm"):
        sampled[name] = whole[name].numpy()[chosen]
    np.testing.assert_allclose(model(sampled), model(whole).numpy()[:, chosen], atol=1e-5)


def test_it_trains(split):
    keras.utils.set_random_seed(0)
    model = TwoTower(split.train, dim=4, trend_hidden=4)
    model.compile("adam")
    model.fit(split.train.batches(8, every_days=1.0, horizon_days=3.0), verbose=0)
    assert np.abs(model.repeat_score.linear.kernel.numpy()).max() > 0


def test_saved_and_loaded_it_scores_as_before(model, expected, split, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.spec.repeats == "all"
    np.testing.assert_array_equal(loaded.scorer(State.of(split.train))(np.arange(2)), expected)


@pytest.fixture(scope="module")
def served(model, split, tmp_path_factory):
    folder = tmp_path_factory.mktemp("repeats") / "shop"
    return Recommender(export(model, split.train, folder, deployment=False))


@pytest.mark.parametrize("user", ["ada", "bea"])
def test_exports_recommend_the_history_again(served, expected, split, user):
    row = int(split.train.users.rows([user])[0])
    order = np.argsort(-expected[row])
    found = served.recommend(user, k=6)
    assert [item for item, _ in found] == [ITEMS[place] for place in order]
    np.testing.assert_allclose([score for _, score in found], expected[row][order], atol=1e-5)
    had = set(split.train.catalogue.vocabulary.ids[State.of(split.train).histories.of(row)])
    left = served.recommend(user, k=6, exclude_seen=True)
    assert {item for item, _ in left} == set(ITEMS) - had
    assert any("again" in sentence for sentence in served.card["semantics"])
    seen = served.card["signatures"]["recommend"]["inputs"]["exclude_seen"]
    assert "True excludes the items of the history" in str(seen)


def test_repeated_ids_of_a_requested_history_count(served):
    once, twice = (
        dict(served.recommend("nobody", k=6, history=history))
        for history in (["i0", "i1"], ["i0", "i0", "i1"])
    )
    assert once.keys() == twice.keys() == set(ITEMS)
    assert once["i0"] != twice["i0"]


@pytest.mark.slow
@pytest.mark.parametrize("make", [PersonalFrequency, EASE])
def test_classic_exports_equal_the_model(make, split, tmp_path):
    model = make().fit(split.train)
    expected = model.scorer(State.of(split.train))(np.arange(2))
    served = Recommender(export(model, split.train, tmp_path / "shop", deployment=False))
    for row, user in enumerate(split.train.users.ids):
        found = dict(served.recommend(user, k=6))
        np.testing.assert_allclose([found[item] for item in ITEMS], expected[row], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_histories_with_repetitions_keep_their_items_in_fewer_bytes(
    model, expected, split, tmp_path, precision
):
    version = export(model, split.train, tmp_path / "shop", deployment=False, precision=precision)
    served = Recommender(version)
    for row, user in enumerate(split.train.users.ids):
        found = dict(served.recommend(user, k=6))
        bound = 0.05 * np.abs(expected).max()
        np.testing.assert_allclose([found[item] for item in ITEMS], expected[row], atol=bound)


def test_what_cannot_use_repetitions_refuses_in_one_line(model, split):
    train = split.train
    first = train.with_repeats("first")
    steps = {"every_days": 1.0, "horizon_days": 3.0}
    two_tower = TwoTower(first, dim=4)
    spec_of_all = train.batches(8, **steps).element_spec
    for act, message in (
        (lambda: train.batches(8, examples="pairs"), "pair_examples: repeated events .*'as_of'"),
        (lambda: train.batches(8, examples="autoencoder"), "autoencoder_examples: repeated"),
        (lambda: train.batches(8, examples="held_out"), "held_out_examples: repeated"),
        (lambda: ranking_examples(train, 8), "repeated events are trained with examples='as_of'"),
        (lambda: Ranker(train, dim=4), "Ranker: repeated events .*with_repeats"),
        (lambda: AlphaRec(train, dim=4), "AlphaRec: repeated events .*with_repeats"),
        (lambda: AlphaRec(first, dim=4).check(train), "trained with repeats='first'"),
        (
            lambda: export(model, train, "nowhere", explain=True),
            "explain is for a TwoTower, without",
        ),
        (lambda: explain(model, train, "ada", ["i0"]), "must be a TwoTower of first events"),
        (lambda: model.scorer(State.of(first)), "trained with repeats='all'"),
        (lambda: EASE().fit(train).check(first), "trained with repeats"),
        (lambda: refresh(model, first, "nowhere"), "trained with repeats='all'"),
        (lambda: two_tower.check_batch(spec_of_all), "are of events with repeats='all'"),
        (
            lambda: model.check_batch(first.batches(8, **steps).element_spec),
            "are of events with repeats='first'",
        ),
        (lambda: split.test.batches(8, known=first), "must have the same repeats"),
        (lambda: train.with_repeats("last"), r"repeats must be one of .* Received: 'last'"),
        (lambda: _events(repeats="last"), r"repeats must be one of .* Received: 'last'"),
    ):
        with pytest.raises(InputError, match=message) as error:
            act()
        assert "\n" not in str(error.value)


@pytest.mark.acceptance
def test_in_onnx_it_answers_as_the_saved_model(served, expected, split, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    from tfrec_fusion.export import export_onnx

    left_out = export_onnx(served.path, tmp_path / "onnx")
    assert "score" not in left_out and "recommend" not in left_out
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "score.onnx"))
    inputs = {
        "user_id": np.array(split.train.users.ids, object),
        "item_id": np.array([ITEMS] * 2, object),
    }
    (scores,) = session.run(["score"], inputs)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_without_times_repetitions_count_too():
    frame = pd.DataFrame({"user_id": ["u", "u", "v"], "item_id": ["i0", "i0", "i1"]})
    events = Interactions.from_frame(
        frame, Catalogue(pd.DataFrame({"item_id": ITEMS})), repeats="all"
    )
    scores = PersonalFrequency().fit(events).scorer(State.of(events))(np.array([0, -1]))
    assert scores.tolist() == [[2, 0, 0, 0, 0, 0], [0] * 6]
    with pytest.raises(InputError, match="repeated events are trained with a column 'timestamp'"):
        events.batches(8)


_TABLES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(ITEMS), st.integers(0, 30)),
    min_size=4,
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(rows=_TABLES)
def test_a_split_loses_no_event(rows):
    events = _events(rows)
    try:
        split = events.split("temporal", test=0.3)
    except InputError:
        return
    assert len(split.train) + len(split.test) == len(rows)
    users, targets = split.targets()
    for place, user in enumerate(users):
        of_user = split.test.item[split.test.user == user]
        assert sorted(targets.of(place).tolist()) == sorted(set(of_user.tolist()))
