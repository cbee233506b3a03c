"""A run of `model.kind: blend`: its members, their training, a kill and the export."""

import json

import numpy as np
import pytest

from tfrec_fusion._compat import keras
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import EASE, RecentPopularity
from tfrec_fusion.pipelines import Blend
from tfrec_fusion.training import ProgressBar, Run, RunConfig
from tfrec_fusion.training.recipes import trained_model

TWO_TOWER = {"model": {"kind": "two_tower", "dim": 8, "trend_hidden": 4}, "batch_size": 64}
CLASSIC = {
    "ease": {"model": {"kind": "ease", "l2": 20.0}},
    "recent": {"model": {"kind": "recent_popularity", "share": 0.2}},
}


@pytest.fixture
def blend(config):
    """A function from members and options to the config of a run."""
    data = config().data.model_dump()

    def make(members=CLASSIC, seed=0, **options):
        model = {"kind": "blend", "members": members, **options}
        return RunConfig.of({"data": data, "model": model, "seed": seed}, "run.yaml")

    return make


def _scores(model, split):
    state = State.of(split.train)
    return np.asarray(model.scorer(state)(np.arange(5, dtype=np.int32)))


def test_it_is_the_blend_of_its_members(blend, tmp_path):
    weights = {"ease": 1.0, "recent": 0.5}
    config = blend(weights=weights, how="zscore", cold="recent")
    run = Run.start(tmp_path / "run", config)
    metrics = run.train()
    train = run.split.train
    members = {"ease": EASE(l2=20.0).fit(train), "recent": RecentPopularity(share=0.2)}
    members["recent"] = members["recent"].fit(train)
    expected = Blend(members, weights=weights, how="zscore", cold="recent")
    found = run.model()
    assert isinstance(found, Blend) and found.config == expected.config
    np.testing.assert_allclose(_scores(found, run.split), _scores(expected, run.split), atol=1e-6)
    total = metrics["evaluation"]["slices"]["total"]["metrics"]
    assert total == pytest.approx(run.evaluate().metrics["total"])
    # The members' folders are gone, the config is complete, and is that of the same run.
    assert not (run.folder / "members").exists()
    read = RunConfig.load(run.folder / "config.yaml")
    assert read.model.members["ease"]["model"]["transition_weight"] == 0.0
    assert Run.start(run.folder, config).done and Run.start(run.folder, read).done
    again = trained_model(read, train)
    np.testing.assert_allclose(_scores(again, run.split), _scores(expected, run.split), atol=1e-6)


def test_weights_are_1_each(blend):
    assert blend().model.weights == {"ease": 1.0, "recent": 1.0}


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
def test_it_goes_on_where_it_was_killed(blend, tmp_path, capsys):
    config = blend({"ease": CLASSIC["ease"], "tower": TWO_TOWER, "recent": CLASSIC["recent"]})
    whole = Run.start(tmp_path / "whole", config)
    whole.train()
    Run.start(tmp_path / "broken", config)
    with pytest.raises(KeyboardInterrupt):
        Run.start(tmp_path / "broken", config).train([_Kill(True)])
    kept = tmp_path / "broken/members/ease/state/epoch-0000/epoch.json"
    written = kept.stat().st_mtime_ns
    with pytest.raises(InputError, match=r"another config: .*seed is 0 there and 3 here"):
        Run.start(tmp_path / "broken", blend(dict(config.model.members), seed=3))
    run, rest = Run.start(tmp_path / "broken", config), _Kill(False)
    assert kept.stat().st_mtime_ns == written
    capsys.readouterr()
    run.train([ProgressBar(), rest])
    told = capsys.readouterr().out
    assert "member 1 of 3: ease (ease), trained before" in told
    assert "member 2 of 3: tower (two_tower)\n" in told and "tower: trained in" in told
    # The first epoch of the tower was on disk.
    assert rest.epochs == [1]
    assert len(run.metrics()["history"]["tower"]["softmax_loss"]) == 2
    assert (run.logs / "tower").is_dir() and not (run.folder / "members").exists()
    np.testing.assert_allclose(
        _scores(run.model(), run.split), _scores(whole.model(), whole.split), atol=1e-5
    )


@pytest.mark.slow
def test_the_command_line_trains_and_exports_it(blend, small_shop, tmp_path):
    from tfrec_fusion.cli import main
    from tfrec_fusion.export import Recommender

    (tmp_path / "run.yaml").write_text(blend().to_yaml(), encoding="utf-8")
    run = str(tmp_path / "run")
    assert main(["train", "--config", str(tmp_path / "run.yaml"), "--out", run]) == 0
    assert main(["export", run, "--to", str(tmp_path / "shop"), "--no-deployment"]) == 0
    found = Recommender(tmp_path / "shop").recommend("u3", k=5)
    assert len(found) == 5
    card = json.loads((tmp_path / "shop/1/model_card.json").read_text())
    assert card["model"] == "Blend"


ONE = {"ease": CLASSIC["ease"]}


@pytest.mark.parametrize(
    ("members", "options", "says"),
    [
        ({}, {}, r"model\.members: .* at least 1 item"),
        ({"a b": CLASSIC["ease"]}, {}, r"model\.members.*begin with a letter.*Received: 'a b'"),
        (ONE, {"weights": {"eas": 1.0}}, r"weights.*must have one number for each.*lacks 'ease'"),
        (ONE, {"weights": {"ease": -1.0}}, r"model\.weights.*greater than or equal to 0"),
        (ONE, {"cold": "text"}, r"cold.*must name a member, one of ease.*'text'"),
        (ONE, {"how": "mean"}, r"model\.how: .*'rank', 'zscore' or 'weighted'"),
        ({"e": {"model": {"kind": "ease", "l2": -3}}}, {}, r"members\.e: model\.l2: .*: -3"),
        ({"e": {"modle": {}}}, {}, r"members\.e: modle: unknown key; the keys here are data, "),
        ({"e": {"model": {"kind": "ease"}, "epochs": 2}}, {}, r"members\.e: epochs applies only"),
        ({"e": {"data": {}}}, {}, r"members\.e: data is a key of the whole run"),
        ({"e": {"from_run": "x"}}, {}, r"members\.e: from_run is a key of the whole run"),
        ({"e": {"model": {"kind": "ranker"}}}, {}, r"members\.e: .*Received: model\.kind 'ranker'"),
        (
            {"e": {"model": {"kind": "blend", "members": ONE}}},
            {},
            r"members\.e: must be a single model.*Received: model\.kind 'blend'",
        ),
    ],
)
def test_a_wrong_config_is_refused_in_one_line(blend, members, options, says):
    with pytest.raises(InputError, match=says) as refused:
        blend(members, **options)
    assert str(refused.value).startswith("run.yaml: ") and "\n" not in str(refused.value)


def test_keys_of_training_are_given_to_the_members(config):
    values = {"data": config().data.model_dump(), "epochs": 2}
    values["model"] = {"kind": "blend", "members": ONE}
    with pytest.raises(InputError, match=r"epochs applies only .*'blend' has members.*give it to"):
        RunConfig.of(values)


def test_options_that_do_not_fit_the_data_are_refused_before_anything_is_written(blend, tmp_path):
    members = {"ease": {"model": {"kind": "ease", "vectors": "image", "text_weight": 1.0}}}
    members["own"] = {"model": {"kind": "no_module:Model"}}
    with pytest.raises(InputError, match="no_module"):
        Run.start(tmp_path / "run", blend(members))
    assert not (tmp_path / "run").exists()
