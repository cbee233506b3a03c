import numpy as np
import pandas as pd
import pytest

from tfrec_fusion import auto
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import PairedDifference, evaluate
from tfrec_fusion.features import State
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.classic import ItemKNN, Popularity
from tfrec_fusion.pipelines import Blend, Stack
from tfrec_fusion.training import (
    Checkpoints,
    Run,
    RunConfig,
    auto_compositions,
    blend_fold,
    choose_blend,
    choosing,
    default_candidates,
)
from tfrec_fusion.training.recipes import trained_model
from tfrec_fusion.training.time_budget import BudgetError

PLAIN = {"epochs": 0, "batch_size": None}
POPULARITY, KNN = {"model": {"kind": "popularity"}}, {"model": {"kind": "item_knn"}}


@pytest.fixture(autouse=True)
def folds(monkeypatch):
    """Two folds of a stack, of which the heads of more take long to build."""
    monkeypatch.setattr(auto_compositions, "_FOLDS", 2)


def _split(kind="temporal", users=60, vectors=(), seed=0):
    """Users of two tastes, each of one half of 20 items."""
    generator = np.random.default_rng(seed)
    pairs = [
        (user, 2 * item + user % 2)
        for user in range(users)
        for item in generator.choice(10, 6, replace=False)
    ]
    order = generator.permutation(len(pairs))
    frame = pd.DataFrame(
        {
            "user_id": [f"u{pairs[place][0]}" for place in order],
            "item_id": [f"i{pairs[place][1]}" for place in order],
            "timestamp": 1.7e9 + 3600.0 * np.arange(len(pairs)),
        }
    )
    stores = {name: generator.standard_normal((20, 8)).astype(np.float32) for name in vectors}
    catalogue = Catalogue(pd.DataFrame({"item_id": [f"i{i}" for i in range(20)]}), vectors=stores)
    return Interactions.from_frame(frame, catalogue).split(kind, test=0.2)


def test_the_better_model_wins_and_is_fitted_on_all_training_events():
    split = _split()
    found = auto(split, candidates={"popular": POPULARITY, "kNN": KNN}, progress=False)
    assert (found.name, type(found.model)) == ("kNN", ItemKNN)
    assert "the best" in found.reason
    # The validation part has fewer users' events, so another fingerprint of weights.
    part = ItemKNN().fit(split.validation().train).scores.weights
    whole = ItemKNN().fit(split.train).scores.weights
    assert abs(part - whole).sum() > 0
    assert abs(found.model.scores.weights - whole).sum() == 0
    popular, knn, stack = found.trials
    assert popular.against.low > 0 and knn.against is None
    assert stack.name == "stack of popular, kNN" and stack.against.difference > 0


def test_of_equal_models_the_simpler_one_wins():
    same = {"first": POPULARITY, "second": POPULARITY}
    found = auto(_split(), candidates=same, progress=False)
    # max takes the first of equals.
    assert (found.name, type(found.model)) == ("first", Popularity)
    # A kNN of one neighbour fewer than all items differs by less than noise.
    other = {"18": {"model": {"kind": "item_knn", "k": 18}}, "19": KNN}
    assert auto(_split(), candidates=other, progress=False).name == "18"


@pytest.mark.parametrize(
    ("difference", "low", "chosen"),
    [(0.0, -0.09, "a"), (0.001, -0.09, "a"), (0.001, 0.0001, "b"), (0.05, -0.09, "b")],
)
def test_a_simpler_one_may_be_a_little_below_the_best(difference, low, chosen, monkeypatch):
    """The NDCG@10 of b is about .5, so .001 is less than 1 % of it, and .05 more."""
    pair = PairedDifference(difference, low, 0.11, 0.5)
    monkeypatch.setattr(choosing, "paired_bootstrap", lambda *_, **__: pair)
    monkeypatch.setattr(choosing, "stacked", lambda *_: None)
    found = auto(_split(), candidates={"a": POPULARITY, "b": KNN}, progress=False)
    assert found.name == chosen
    assert ("within 1 % and noise of the best, b" in found.reason) == (chosen == "a")


@pytest.mark.slow
def test_the_test_events_play_no_part():
    split = _split()
    one = auto(split, candidates={"popular": POPULARITY, "kNN": KNN}, progress=False)
    empty = split.test.select(np.zeros(len(split.test), bool))
    other = auto(
        type(split)(split.train, empty, split.kind, split.time),
        candidates={"popular": POPULARITY, "kNN": KNN},
        progress=False,
    )
    for a, b in zip(one.trials, other.trials, strict=True):
        np.testing.assert_array_equal(a.report.per_user["ndcg@10"], b.report.per_user["ndcg@10"])


def test_what_does_not_fit_into_the_budget_is_left_out(capsys):
    found = auto(_split(), candidates={"popular": POPULARITY, "kNN": KNN}, time_budget=0.001)
    assert found.name == "popular"
    assert [trial.left_out for trial in found.trials] == [None, "the time budget is too short"]
    assert "kNN: the time budget is too short" in capsys.readouterr().err
    assert found.reason == (
        "popular is the only model that was tried (1 did not fit into the time budget)"
    )
    described = found.to_dict()
    assert described["chosen"] == "popular" and described["trials"][1]["evaluation"] is None
    assert found.table().row_count == 2


def test_candidates_follow_the_data():
    timed = default_candidates(_split(vectors=["text", "words"]).train, "temporal")
    assert {"recent popularity", "EASE, l2 200, decay and trend, words"} <= set(timed)
    assert list(timed)[-3:] == ["two-tower, text", "two-tower, words", "two-tower, text, words"]
    chance = default_candidates(_split("random").train, "random")
    assert list(chance) == [
        "popularity",
        "item-kNN",
        "EASE, l2 100",
        "EASE, l2 400",
        "iALS",
        "spectral",
        "two-tower from spectral",
    ]
    texts = default_candidates(_split("random", vectors=["text"]).train, "random")
    assert texts["two-tower from spectral, text"]["spectral"] == {"vectors": "text"}
    last = default_candidates(_split("leave_one_out").train, "leave_one_out")
    assert [name for name in last if name not in chance] == [
        "EASE, l2 500, order 0.5",
        "EASE, l2 500, order 0.8",
        "SASRec",
        "two-tower",
    ]
    assert last["SASRec"]["examples"]["kind"] == "sequence"
    # The examples of a random split cannot be of repeated events.
    repeated = default_candidates(_split("random").train.with_repeats("all"), "random")
    assert list(repeated) == [
        "popularity",
        "personal frequency",
        "item-kNN",
        "EASE, l2 100",
        "EASE, l2 400",
        "iALS",
        "spectral",
    ]
    for name, values in {**timed, **chance, **texts, **last}.items():
        RunConfig.of({"data": {"interactions": "a", "items": "b"}, **values}, name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["temporal", "random"])
def test_all_candidates_are_tried(kind):
    split = _split(kind, users=40, vectors=["text"])
    found = auto(split, time_budget="10m", progress=False)
    assert all(trial.report is not None for trial in found.trials)
    values = [trial.report.metrics["total"]["ndcg@10"] for trial in found.trials]
    assert max(values) > values[0]


def _two_kinds(seed=0):
    """Every other event of a user is of the user's taste, the others are what just came up."""
    generator = np.random.default_rng(seed)
    rows = []
    for step in range(900):
        user = int(generator.integers(90))
        fresh = 20 + step // 60
        taste = 2 * int(generator.integers(10)) + user % 2
        rows.append((f"u{user}", f"i{fresh if generator.random() < 0.5 else taste}"))
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    frame["timestamp"] = 1.7e9 + 3600.0 * np.arange(len(rows))
    catalogue = Catalogue(pd.DataFrame({"item_id": [f"i{i}" for i in range(35)]}))
    return Interactions.from_frame(frame, catalogue).split("temporal", test=0.2)


@pytest.mark.parametrize(
    ("folds", "made"), [(1, Blend), pytest.param(4, Stack, marks=pytest.mark.slow)]
)
def test_they_win_where_two_models_know_different_things(folds, made, monkeypatch, tmp_path):
    monkeypatch.setattr(
        auto_compositions, "_FOLDS", folds
    )  # 1 leaves no earlier period for a stack
    split = _two_kinds()
    candidates = {"recent": {"model": {"kind": "recent_popularity"}}, "kNN": KNN}
    found = auto(split, candidates=candidates, progress=False)
    assert type(found.model) is made
    assert {"recent", "kNN"} == set(found.name.split(" of ")[1].split(", "))
    if made is Blend:
        # The figure is that of weights of the other half of the users.
        part = choosing.validation_part(split, seed=0)
        models = {
            name: type(one)(**one.config.model_dump()) for name, one in found.model.members.items()
        }
        options = found.model.config.model_dump(exclude={"members"})
        again = Blend({n: m.fit(part.train) for n, m in models.items()}, **options)
        trial = next(trial for trial in found.trials if trial.name == found.name)
        inside = evaluate(again, part).metrics["total"]["ndcg@10"]
        assert 0 < abs(trial.report.metrics["total"]["ndcg@10"] - inside) < 0.1
        assert trial.report.metrics["total"]["ndcg@10"] == trial.report.per_user["ndcg@10"].mean()
    if made is Stack:  # recent popularity and kNN rank unseen items alike; max takes the first
        assert found.model.config.cold == "recent_popularity"
    # Its members know all training events.
    whole = ItemKNN().fit(split.train).scores.weights
    assert abs(found.model.members["item_knn"].scores.weights - whole).sum() == 0
    checkpoints = Checkpoints(tmp_path / "state")
    checkpoints.save(found.model, 0, {})
    users = np.arange(5, dtype=np.int32)
    again = checkpoints.whole().scorer(State.of(split.train))(users)
    np.testing.assert_array_equal(again, found.model.scorer(State.of(split.train))(users))


def test_a_blend_of_a_random_split_is_chosen_on_several_folds(monkeypatch, capsys):
    trained, chosen_on = [], []

    def training(config, train):
        trained.append((config.model.kind, len(train)))
        return trained_model(config, train)

    def choosing_blend(factories, split, **options):
        chosen_on.append(options["folds"])
        return choose_blend(factories, split, **options)

    monkeypatch.setattr(auto_compositions, "trained_model", training)
    monkeypatch.setattr(auto_compositions, "choose_blend", choosing_blend)
    monkeypatch.setattr(choosing, "stacked", lambda *_: None)
    split = _split("random")
    auto(split, candidates={"popular": POPULARITY, "kNN": KNN})
    # Those of the validation part are trained once, before; the three others train both again.
    parts = [choosing.validation_part(split, seed=seed) for seed in range(4)]
    assert chosen_on == [4]
    assert trained[:6] == [
        (kind, len(part.train)) for part in parts[1:] for kind in ("popularity", "item_knn")
    ]
    assert "on 4 folds" in capsys.readouterr().err


def test_a_blend_has_as_many_folds_as_there_is_time_and_memory_for(monkeypatch):
    part, folds_of = _split("random").validation(), auto_compositions._folds_of_blend
    # 15 s to fit 10 s of members on all events, 10 s more, and 10 s a further fold.
    times = {24: 1, 34: 1, 36: 2, 46: 3, 56: 4, 900: 4}
    for left, folds in times.items():
        assert folds_of(part, 3, 10.0, left, 1e-9) == folds
    assert folds_of(_split("temporal").validation(), 3, 10.0, 900.0, 1e-9) == 1
    # With 5 s more to measure each fold, which may take a quarter of the time.
    users = len(part.targets()[0])
    for left, folds in {24: 1, 44: 1, 46: 2, 59: 2, 61: 3, 900: 4}.items():
        assert folds_of(part, 3, 10.0, left, 5 / users) == folds
    assert folds_of(part, 3, 1.0, 40.0, 5 / users) == 2
    # The terms of three members in two forms, for 20 items that all have events.
    monkeypatch.setattr(blend_fold, "_MOST_BYTES", 3 * users * 4 * 3 * 2 * 20)
    assert folds_of(part, 3, 10.0, 900.0, 1e-9) == 3


def test_without_other_folds_a_blend_is_chosen_on_the_validation_part(monkeypatch, capsys):
    chosen_on = []

    def refuses(factories, split, *, folds=1, **options):
        chosen_on.append(folds)
        if folds > 1:
            raise InputError("fold 2 of 4 cannot be made")
        return choose_blend(factories, split, **options)

    monkeypatch.setattr(auto_compositions, "choose_blend", refuses)
    monkeypatch.setattr(choosing, "stacked", lambda *_: None)
    auto(_split("random"), candidates={"popular": POPULARITY, "kNN": KNN})
    assert chosen_on == [4, 1]
    told = capsys.readouterr().err
    assert "the blend is chosen on the validation part alone: fold 2 of 4 cannot be made" in told
    assert "on 4 folds" not in told


def test_a_run_keeps_what_was_chosen(config, tmp_path):
    tried = {"popular": POPULARITY, "kNN": KNN}
    run = Run.start(tmp_path / "run", config(model={"kind": "auto", "candidates": tried}, **PLAIN))
    result = run.train()
    assert result["auto"]["chosen"] in tried
    chosen = tried[result["auto"]["chosen"]]["model"]["kind"]
    assert type(run.model()) is {"popularity": Popularity, "item_knn": ItemKNN}[chosen]
    assert result["evaluation"]["name"] == "auto"
    with pytest.raises(InputError, match=r"from_run needs a run of one model that its"):
        Run.start(tmp_path / "next", config(from_run=str(tmp_path / "run")))


@pytest.mark.slow
def test_a_deep_model_that_was_chosen_is_loaded(config, tmp_path):
    tried = {"two-tower": {"model": {"kind": "two_tower", "dim": 4}, "epochs": 1}}
    run = Run.start(tmp_path / "run", config(model={"kind": "auto", "candidates": tried}, **PLAIN))
    run.train()
    model = run.model()
    assert isinstance(model, TwoTower)
    assert evaluate(model, run.split).metrics["total"] == run.evaluate().metrics["total"]


def test_a_training_that_cannot_fit_is_left_out(monkeypatch):
    def refused(config, train):
        if config.by_gradient:
            raise BudgetError("preparing takes too long")
        return trained_model(config, train)

    monkeypatch.setattr(choosing, "trained_model", refused)
    tried = {"popular": POPULARITY, "two-tower": {"model": {"kind": "two_tower"}}, "kNN": KNN}
    found = auto(_split(), candidates=tried, progress=False)
    assert found.name == "kNN" and found.trials[1].left_out is not None
    assert found.reason == (
        "kNN is the best of 3 models (1 did not fit into the time budget), and the simpler ones "
        "are worse by more than 1 % or noise"
    )
    with pytest.raises(InputError, match=r"no candidate fits into the time budget.*900 s"):
        auto(_split(), candidates={"two-tower": tried["two-tower"]}, progress=False)


def test_data_that_allow_no_folds_get_the_best_single_model(capsys):
    frame = pd.DataFrame(
        [(f"u{user}", f"i{(user + step) % 7}") for user in range(40) for step in range(3)],
        columns=["user_id", "item_id"],
    )
    frame["timestamp"] = 1.7e9 + 3600.0 * np.arange(len(frame))
    catalogue = Catalogue(pd.DataFrame({"item_id": [f"i{item}" for item in range(7)]}))
    split = Interactions.from_frame(frame, catalogue).split("leave_one_out")
    found = auto(split, candidates={"popular": POPULARITY, "kNN": KNN})
    assert found.name in ("popular", "kNN")
    assert "no stack: choose_stack: fold 2 of 2 cannot be made: " in capsys.readouterr().err


def test_members_of_own_kinds_have_names():
    kinds = ["_parts:Mine", "parts:Mine", "2", "ease"]
    assert [*auto_compositions.named(dict.fromkeys(kinds))] == [
        "parts_Mine",
        "parts_Mine_",
        "model",
        "ease",
    ]


def test_a_stack_must_fit_into_the_time(capsys):
    # Building its heads alone takes longer.
    tried = {"popular": POPULARITY, "kNN": KNN}
    found = auto(_split(), candidates=tried, time_budget=20.0)
    assert [trial.name for trial in found.trials][:2] == ["popular", "kNN"]
    assert len(found.trials) == 2 or found.trials[2].name.startswith("blend")
    assert "no stack: there is no time" in capsys.readouterr().err


def test_bad_arguments():
    split = _split()
    for options, message in (
        ({"time_budget": "soon"}, r"auto: time_budget: must be seconds.*Received: 'soon'"),
        ({"time_budget": -1}, r"time_budget: Input should be greater than 0"),
        ({"bootstrap": 1}, r"auto: bootstrap must be a whole number of 2 or more. Received: 1"),
        ({"candidates": ["ease"]}, r"candidates must be a mapping.*Received: list"),
        ({"candidates": {}}, r"candidates must name at least one model"),
        ({"candidates": {"a": {"model": {"kind": "nothing"}}}}, r"auto: a: model.kind"),
        (
            {"candidates": {"a": {"model": {"kind": "ranker"}}}},
            r"auto: a: must be a single model that",
        ),
    ):
        with pytest.raises(InputError, match=message):
            auto(split, progress=False, **options)
    with pytest.raises(InputError, match=r"split must be a Split.*Received: Interactions"):
        auto(split.train, progress=False)
