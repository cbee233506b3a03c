"""A run of `model.kind: two_stage`: its parts, their training, a kill and the export."""

import json

import numpy as np
import pytest

from tfrec_fusion._compat import keras
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.pipelines import TwoStage
from tfrec_fusion.training import ProgressBar, Run, RunConfig, recipes
from tfrec_fusion.training.recipes import trained_model

EASE = {"model": {"kind": "ease", "l2": 20.0}}
RANKER = {"model": {"dim": 4, "hidden": [4], "cross_layers": 1}, "batch_size": 64, "epochs": 2}


@pytest.fixture
def two_stage(config):
    """A function from options to the config of a run."""
    data = config().data.model_dump()

    def make(seed=0, retrieval=EASE, ranker=RANKER, **options):
        model = {"kind": "two_stage", "retrieval": retrieval, "ranker": ranker, **options}
        return RunConfig.of({"data": data, "model": model, "seed": seed}, "run.yaml")

    return make


def _scores(model, split):
    state = State.of(split.train)
    return np.asarray(model.scorer(state)(np.arange(5, dtype=np.int32)))


class _Kill(keras.callbacks.Callback):
    """Ends the training within the second epoch, and counts the epochs that begin."""

    def __init__(self, kills):
        super().__init__()
        self.kills, self.epochs = kills, []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)

    def on_train_batch_end(self, batch, logs=None):
        if self.kills and self.epochs[-1] == 1:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_it_trains_both_parts_and_goes_on_where_it_was_killed(two_stage, tmp_path, capsys):
    config = two_stage(candidates=8, retrieval_weight=0.5)
    whole = Run.start(tmp_path / "whole", config)
    metrics = whole.train()
    assert {*metrics["history"]} == {"retrieval", "ranker"}
    assert len(metrics["history"]["ranker"]["loss"]) == 2
    model = whole.model()
    assert isinstance(model, TwoStage) and model.config.retrieval_weight == 0.5
    total = metrics["evaluation"]["slices"]["total"]["metrics"]
    assert total == pytest.approx(whole.evaluate().metrics["total"])
    read = RunConfig.load(whole.folder / "config.yaml")
    assert read.model.ranker["examples"]["negatives"] is None and Run.start(whole.folder, read).done
    again = trained_model(read, whole.split.train)
    expected = _scores(model, whole.split)
    np.testing.assert_allclose(_scores(again, whole.split), expected, atol=1e-4)

    Run.start(tmp_path / "broken", config)
    with pytest.raises(KeyboardInterrupt):
        Run.start(tmp_path / "broken", config).train([_Kill(True)])
    run, rest = Run.start(tmp_path / "broken", config), _Kill(False)
    capsys.readouterr()
    run.train([ProgressBar(), rest])
    told = capsys.readouterr().out
    assert "member 1 of 2: retrieval (ease), trained before" in told
    assert "member 2 of 2: ranker (ranker)\n" in told
    assert rest.epochs == [1]  # the first was on disk
    assert not (run.folder / "members").exists()
    np.testing.assert_allclose(_scores(run.model(), run.split), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "negatives", "expected"),
    [
        ({}, None, {"hard_pool": 200, "hard_share": 0.5, "hard_cuts": 8}),
        (
            {"candidates": 9, "hard_share": 0.25, "hard_cuts": 3},
            4,
            {"hard_pool": 9, "hard_share": 0.25, "hard_cuts": 3},
        ),
        ({"hard_share": 0.0}, None, {}),
        ({}, 0, {}),
    ],
)
def test_the_ranker_gets_negatives_of_the_retrieval_model(
    two_stage, small_shop, monkeypatch, options, negatives, expected
):
    asked = []
    monkeypatch.setattr(recipes, "ranking_examples", lambda *_, **given: asked.append(given))
    ranker = {**RANKER, "examples": {"kind": "ranking", "negatives": negatives}}
    config = two_stage(ranker=ranker, **options)
    hard = recipes.hard_negatives(config, "ranker", {"retrieval": "ease"})
    assert recipes.hard_negatives(config, "retrieval", {}) == {}

    class Train:
        label = None

    one = config.member_configs()["ranker"]
    recipes.training_batches(one, Train(), hard=hard)
    found = {name: asked[0][name] for name in asked[0] if name.startswith("hard_")}
    assert found == expected
    assert ("negatives_from" in asked[0]) == bool(expected)


@pytest.mark.slow
def test_the_command_line_trains_and_exports_it(two_stage, tmp_path):
    from tfrec_fusion.cli import main
    from tfrec_fusion.export import Recommender

    config = two_stage(candidates=8, ranker={**RANKER, "epochs": 1})
    (tmp_path / "run.yaml").write_text(config.to_yaml(), encoding="utf-8")
    run = str(tmp_path / "run")
    assert main(["train", "--config", str(tmp_path / "run.yaml"), "--out", run]) == 0
    assert main(["export", run, "--to", str(tmp_path / "shop"), "--no-deployment"]) == 0
    assert len(Recommender(tmp_path / "shop").recommend("u3", k=20)) > 8
    card = json.loads((tmp_path / "shop/1/model_card.json").read_text())
    assert card["model"] == "TwoStage"


def test_the_ranker_is_one_by_default(config):
    values = {"kind": "two_stage", "retrieval": EASE}
    config = RunConfig.of({"data": config().data.model_dump(), "model": values}, "run.yaml")
    assert config.member_configs()["ranker"].model.kind == "ranker"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"candidates": 0}, r"model\.candidates: .*greater than 0.*: 0"),
        ({"hard_share": 2}, r"model\.hard_share: .*less than or equal to 1.*: 2"),
        ({"candidate": 9}, r"model\.candidate: unknown key; .*retrieval_weight"),
        (
            {"retrieval": {"model": {"kind": "ease", "l2": -3}}},
            r"model\.retrieval: model\.l2: .*-3",
        ),
        ({"ranker": {"epoch": 2}}, r"model\.ranker: epoch: unknown key"),
        ({"ranker": {"data": {}}}, r"model\.ranker: data is a key of the whole run"),
        ({"ranker": EASE}, r"model\.ranker: must be a ranker\. Received: model\.kind 'ease'"),
        (
            {"retrieval": {"model": {"kind": "ranker"}}},
            r"model\.retrieval: must be a single model .*Received: model\.kind 'ranker'",
        ),
    ],
)
def test_a_wrong_config_is_refused_in_one_line(two_stage, options, says):
    with pytest.raises(InputError, match=says) as refused:
        two_stage(**options)
    assert str(refused.value).startswith("run.yaml: ") and "\n" not in str(refused.value)


def test_two_stages_are_no_member_of_a_blend(two_stage):
    model = two_stage().model.model_dump()
    with pytest.raises(InputError, match=r"members\.x: must be a single .*'two_stage'"):
        values = {"kind": "blend", "members": {"x": {"model": model}}}
        RunConfig.of({"data": two_stage().data.model_dump(), "model": values})
