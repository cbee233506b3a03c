"""The search of a config's options on validation events."""

from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

optuna = pytest.importorskip("optuna", reason='needs ".[tune]"')

from tfrec_fusion.errors import InputError  # noqa: E402
from tfrec_fusion.training import RunConfig, tune, tuning, validation_score  # noqa: E402
from tfrec_fusion.training.inputs import load_split  # noqa: E402
from tfrec_fusion.training.spaces import SPACES, checked_space, default_space  # noqa: E402
from tfrec_fusion.training.study import Study  # noqa: E402
from tfrec_fusion.training.time_budget import BudgetPlan  # noqa: E402

L2 = {"model.l2": {"low": 1, "high": 1000, "log": True}}


@pytest.fixture
def classic(config):
    """A function from a classic model's kind and options to a config of the small shop."""

    def make(kind, **options):
        data = config().data.model_dump()
        return RunConfig.of({"data": data, "model": {"kind": kind, **options}})

    return make


def test_the_best_is_never_worse_than_the_config_and_its_file_reproduces_it(classic, tmp_path):
    given = classic("ease", l2=50.0)
    result = tune(given, tmp_path / "study", trials=4, progress=False)
    trials = result.trials
    assert list(trials["state"]) == ["complete"] * 4
    # The first trial is the config itself, whose options are within the default space.
    part = load_split(given).validation()
    assert trials["value"][0] == validation_score(given, part)
    assert trials["model.l2"][0] == 50.0
    assert result.value == trials["value"].max()
    best = RunConfig.load(tmp_path / "study/best.yaml")
    assert validation_score(best, part) == result.value
    written = (tmp_path / "study/trials.csv").read_text().splitlines()
    assert len(written) == 1 + 4
    assert (tmp_path / "study/trials.png").stat().st_size > 0
    logged = sorted(path.name for path in (tmp_path / "study/logs").iterdir())
    assert logged == [f"trial-{number:04d}" for number in range(4)]


@pytest.mark.slow
def test_a_study_goes_on_as_if_it_had_not_been_broken_off(classic, tmp_path, monkeypatch):
    given, scored = classic("ease"), []

    def score(config, *_, **__):
        scored.append(config.model.l2)
        return 1 / config.model.l2

    monkeypatch.setattr(tuning, "validation_score", score)
    whole = tune(given, tmp_path / "whole", space=L2, trials=6, progress=False).trials
    assert list(whole["model.l2"]) == scored
    scored.clear()

    def breaks(config, *_, **__):
        if len(scored) == 2:
            raise KeyboardInterrupt
        return score(config)

    monkeypatch.setattr(tuning, "validation_score", breaks)
    with pytest.raises(KeyboardInterrupt):
        tune(given, tmp_path / "broken", space=L2, trials=6, progress=False)
    # A kill can leave a line of the journal unfinished, too.
    with open(tmp_path / "broken/journal.log", "a") as file:
        file.write('{"op_code": 6, "wor')
    monkeypatch.setattr(tuning, "validation_score", score)
    again = tune(given, tmp_path / "broken", space=L2, trials=6, progress=False).trials
    # What was running is tried again, with the values it had; nothing else is repeated.
    assert list(again["model.l2"]) == list(whole["model.l2"]) == scored
    assert len(set(scored)) == 6
    # A finished study has nothing to do, and a larger one goes on.
    tune(given, tmp_path / "broken", space=L2, trials=6, progress=False)
    assert len(scored) == 6
    assert len(tune(given, tmp_path / "broken", space=L2, trials=7, progress=False).trials) == 7


def test_the_config_that_was_interrupted_is_tried_first_again(classic, tmp_path, monkeypatch):
    def breaks(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(tuning, "validation_score", breaks)
        with pytest.raises(KeyboardInterrupt):
            tune(classic("ease", l2=9999.0), tmp_path / "study", space=L2, trials=1)
    # 9999 is not in the space, so only the config has it.
    result = tune(classic("ease", l2=9999.0), tmp_path / "study", space=L2, trials=1)
    assert result.best.model.l2 == 9999.0
    assert len(result.trials) == 1


def test_no_trial_starts_that_would_not_end_in_the_budget(classic, tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0)

    def score(config, *_, **__):
        clock.now += 10
        return 1 / config.model.l2

    monkeypatch.setattr(tuning, "validation_score", score)
    monkeypatch.setattr(tuning, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    options = {"space": L2, "progress": False}
    # After three of 10 s each, 5 s are left.
    found = tune(classic("ease"), tmp_path / "study", time_budget=35, **options)
    assert len(found.trials) == 3
    # The time of earlier calls counts: 15 s are left of 45 s.
    found = tune(classic("ease"), tmp_path / "study", time_budget="45s", **options)
    assert len(found.trials) == 4
    assert clock.now == 40
    found = tune(classic("ease"), tmp_path / "study", time_budget=600, trials=5, **options)
    assert len(found.trials) == 5


def test_a_small_space_ends_and_failed_trials_are_told(classic, tmp_path):
    space = {"model.shrinkage": {"choices": [0.0, 1.0]}, "model.similarity": {"choices": ["bm25"]}}
    found = tune(classic("item_knn"), tmp_path / "study", space=space, trials=50, progress=False)
    # bm25 has no shrinkage: of the config itself and two settings, one fails.
    assert sorted(found.trials["state"]) == ["complete", "complete", "fail"]
    failed = found.trials[found.trials["state"] == "fail"].iloc[0]
    assert "shrinkage applies to cosine and tf_idf" in failed.note


@pytest.mark.parametrize("kind", sorted(SPACES.keys() - {"two_tower", "ranker"}))
def test_every_default_space_fits_its_config(kind, classic):
    given = classic(kind, dims=8) if kind == "text_mean" else classic(kind)
    part = load_split(given).validation()
    space = default_space(given.resolved(part.train), part.train)
    assert checked_space(space, given.resolved(part.train)) == space


@pytest.mark.parametrize(
    "options",
    [{}, {"spectral": {}}, {"split": {"kind": "random"}}, {"model": {"kind": "ranker"}}],
    ids=["as_of", "spectral as_of", "spectral autoencoder", "ranker"],
)
def test_the_default_spaces_of_models_trained_in_epochs(options, config):
    given = config(**options)
    part = load_split(given).validation()
    resolved = given.resolved(part.train)
    space = default_space(resolved, part.train)
    assert checked_space(space, resolved) == space
    assert "learning_rate" in space


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"model.l3": {"low": 1, "high": 2}}, "space: model.l3: unknown key; the keys here are"),
        ({"lr": {"low": 1, "high": 2}}, "space: lr: unknown key"),
        ({"model.l2": {"low": 0, "high": 2}}, "space: model.l2: .*greater than 0. Received: 0"),
        ({"model.l2": {"low": 3, "high": 2}}, "model.l2: low must be below high"),
        ({"model.l2": {"low": 1}}, "model.l2: low must be below high, and both"),
        ({"model.l2": {"low": 1, "high": 2, "lgo": True}}, "model.l2.lgo: unknown; known are"),
        ({"model.l2": [1, 2]}, r"model.l2: must be \{low"),
        ({"model.l2": {"choices": []}}, "model.l2.choices: "),
        ({"model.l2": {"choices": [1, 1]}}, "model.l2: choices has a value twice"),
        ({"model.l2": {"low": 1, "high": float("inf")}}, "model.l2"),
        ({"model.top": {"low": 1.5, "high": 8}}, "space: model.top: "),
        ({"model.kind": {"choices": ["ease"]}}, "model.kind: is the same in all trials"),
        ({"split.test": {"low": 0.1, "high": 0.2}}, "split.test: is the same in all trials"),
        ({"epochs": {"low": 1, "high": 9}}, "epochs applies only to models"),
        ({"model.l2": {"low": 1, "high": 2, "when": {"model.x": [1]}}}, "when: must name a key"),
        ({3: {"low": 1, "high": 2}}, "a key must be a path such as model.l2. Received: 3"),
        ({}, "must be a mapping of one key"),
    ],
)
def test_a_bad_space_is_one_line(space, says, classic, tmp_path):
    with pytest.raises(InputError, match=says) as raised:
        tune(classic("ease"), tmp_path / "study", space=space, progress=False)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "study").exists()


def test_a_bad_key_of_a_section_that_may_be_absent_is_named(config):
    for spectral in (None, {}):
        resolved = config(spectral=spectral)
        space = {"spectral.text_weights": {"low": 1, "high": 2}}
        says = r"space: spectral\.text_weights: unknown key; the keys here are vectors, "
        with pytest.raises(InputError, match=says):
            checked_space(space, resolved)
        with pytest.raises(InputError, match=r"space: spectral\.text_weight: .*Received: -1"):
            checked_space({"spectral.text_weight": {"low": -1, "high": 2}}, resolved)


def test_whole_numbers_and_conditions_of_a_users_space(classic):
    given = classic("item_knn")
    space = {
        "model.k": {"low": 5, "high": 50},
        "model.similarity": {"choices": ["cosine", "bm25"]},
        "model.shrinkage": {"low": 0, "high": 50, "when": {"model.similarity": ["cosine"]}},
    }
    checked = checked_space(space, given)
    assert [one.integer for one in checked.values()] == [True, False, False]
    for similarity, keys in (("bm25", 2), ("cosine", 3)):
        trial = optuna.trial.FixedTrial(
            {"model.k": 7, "model.similarity": similarity, "model.shrinkage": 3.0}
        )
        assert len(tuning.suggested(trial, checked, given)) == keys


def test_another_study_in_the_folder_is_refused(classic, small_shop, tmp_path):
    folder = tmp_path / "study"
    options = {"space": L2, "trials": 1, "progress": False}
    tune(classic("ease"), folder, **options)
    for given, changed, says in (
        (classic("ease", l2=3.0), {}, "another config: model.l2, 200.0 there and 3.0 here"),
        (classic("ials"), {}, "another config: model.kind, 'ease' there and 'ials' here"),
        (classic("ease"), {"space": {"model.l2": {"low": 1, "high": 2}}}, "another space: "),
        (classic("ease"), {"metric": "recall@20"}, "another metric, 'ndcg@10' there"),
        (classic("ease"), {"seed": 3}, "another seed, 0 there and 3 here"),
    ):
        with pytest.raises(InputError, match=says):
            tune(given, folder, **options | changed)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").touch()
    with pytest.raises(InputError, match="is not empty and holds no study"):
        tune(classic("ease"), tmp_path / "mine", **options)


def test_changed_inputs_are_refused(classic, small_shop, tmp_path):
    events = tmp_path / "events.parquet"
    content = (small_shop / "interactions.parquet").read_bytes()
    events.write_bytes(content)
    data = classic("ease").data.model_dump() | {"interactions": str(events)}
    given = RunConfig.of({"data": data, "model": {"kind": "ease"}})
    tune(given, tmp_path / "study", space=L2, trials=1, progress=False)
    pd.read_parquet(events).iloc[:-1].to_parquet(events)
    with pytest.raises(InputError, match="interactions: the content has changed"):
        tune(given, tmp_path / "study", space=L2, trials=2, progress=False)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"trials": 0}, "trials must be a whole number of 1 or more. Received: 0"),
        ({"trials": 2.5}, "trials must be a whole number"),
        ({"time_budget": "soon"}, "time_budget must be seconds.* Received: 'soon'"),
        ({"time_budget": -1}, "time_budget must be above 0"),
        ({"metric": "accuracy"}, "metric must be ndcg, .* Received: 'accuracy'"),
        ({"seed": -1}, "seed must be a whole number of 0 or more"),
    ],
)
def test_a_bad_argument_is_one_line(options, says, classic, tmp_path):
    with pytest.raises(InputError, match=says):
        tune(classic("ease"), tmp_path / "study", **options)


def test_a_model_without_options_needs_a_space(classic, tmp_path):
    with pytest.raises(InputError, match=r"no default space for model\.kind 'popularity'"):
        tune(classic("popularity"), tmp_path / "study")


@pytest.mark.slow
def test_a_training_in_epochs_is_pruned_and_its_planned_length_reproduced(
    config, tmp_path, monkeypatch
):
    from tfrec_fusion.training import recipes

    monkeypatch.setattr(recipes, "plan_budget", lambda *_, **__: BudgetPlan(3, 0.1))
    given, folder = config(time_budget=900.0), tmp_path / "study"
    space = {"learning_rate": {"low": 1e-9, "high": 2e-9}}
    first = tune(given, folder, space=space, trials=1, progress=False)
    best = yaml.safe_load((folder / "best.yaml").read_text())
    # What fitted into the time is in the file, in place of the time.
    assert best["steps_per_epoch"] == 3
    assert "time_budget" not in best
    part = load_split(given).validation()
    assert validation_score(RunConfig.of(best), part) == first.value
    # Beside four trials that were perfect after an epoch, any other is below the median.
    perfect = optuna.trial.create_trial(value=0.0, intermediate_values={1: 1.0, 2: 1.0})
    study = Study(folder, 0)
    for _ in range(4):
        study.optuna.add_trial(perfect)
    found = tune(given, folder, space=space, trials=6, progress=False).trials
    assert list(found["state"]) == ["complete"] * 5 + ["pruned"]
    last = study.trials()[-1]
    assert list(last.intermediate_values) == [1]
    assert found["value"].iloc[-1] == last.intermediate_values[1]


@pytest.mark.acceptance
def test_the_importance_of_options_is_drawn_of_ten_trials(classic, tmp_path):
    tune(classic("ease"), tmp_path / "study", trials=5, progress=False)
    narrow = (tmp_path / "study/trials.png").stat().st_size
    tune(classic("ease"), tmp_path / "study", trials=11, progress=False)
    assert (tmp_path / "study/trials.png").stat().st_size > narrow


@pytest.mark.acceptance
def test_a_ranker_is_tuned_by_gauc(config, tmp_path):
    given = config(model={"kind": "ranker", "dim": 8, "hidden": [8]}, epochs=1)
    found = tune(given, tmp_path / "study", trials=1, progress=False)
    assert found.metric == "gauc"
    assert 0 < found.value < 1
    with pytest.raises(InputError, match="the metric of a ranker is gauc"):
        tune(given, tmp_path / "other", metric="ndcg@10")
