"""Which events an export of the command line serves, and what it keeps of the one before."""

import json

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.cli import main
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.training import Run


@pytest.fixture(scope="module")
def shop(small_shop, tmp_path_factory):
    """The small shop with a user whose two purchases are in the test, and repeated purchases."""
    folder = tmp_path_factory.mktemp("late")
    table = pd.read_parquet(small_shop / "interactions.parquet").drop(columns="rating")
    end = table["timestamp"].max()
    late = pd.DataFrame({"user_id": "late", "item_id": ["i7", "i8"], "timestamp": [end, end + 9]})
    again = table.sample(300, random_state=0).assign(timestamp=end - np.arange(300.0))
    pd.concat([table, again, late]).to_parquet(folder / "interactions.parquet")
    items = pd.read_parquet(small_shop / "items.parquet")
    items.assign(kind=["a", "b"] * 15).to_parquet(folder / "items.parquet")
    return folder


def _train(shop, out, *options):
    config = out.parent / f"{out.name}.yaml"
    config.write_text("model: {dim: 8, trend_hidden: 4}\nbatch_size: 16\nepochs: 1\n")
    tables = ["--interactions", str(shop / "interactions.parquet")]
    tables += ["--items", str(shop / "items.parquet"), "--config", str(config)]
    assert main(["train", *tables, *options, "--out", str(out)]) == 0


@pytest.fixture(scope="module")
def run(shop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    _train(shop, folder)
    return folder


def _export(run, to, *options):
    assert main(["export", str(run), "--to", str(to), "--no-deployment", *options]) == 0
    return Recommender(to)


def _scores(recommender, users, items):
    served = tf.saved_model.load(str(recommender.path)).signatures["score"]
    rows = tf.constant(np.tile(items, (len(users), 1)))
    return served(user_id=tf.constant(users), item_id=rows)["score"].numpy()


@pytest.mark.slow
def test_all_events_are_served_and_training_alone_on_demand(run, shop, tmp_path):
    everything = _export(run, tmp_path / "all")
    training = _export(run, tmp_path / "train", "--train-only")
    split = Run.open(run).split
    data = everything.card["data"]
    assert data["events"] == len(split.train) + len(split.test)
    assert data["users"] == training.card["data"]["users"] + 1
    assert training.card["data"]["events"] == len(split.train)
    assert data["as_of"] > training.card["data"]["as_of"]
    # The figures of both are those of the split.
    assert everything.card["metrics"] == training.card["metrics"] != {}
    # What the late user has does not come back.
    assert not {"i7", "i8"} & {item for item, _ in everything.recommend("late", k=30)}
    assert {"i7", "i8"} <= {item for item, _ in training.recommend("late", k=30)}


@pytest.mark.slow
def test_python_exports_and_refreshes_serve_the_same(run, shop, tmp_path):
    command = _export(run, tmp_path / "command")
    events = Interactions.from_parquet(
        shop / "interactions.parquet", Catalogue.from_parquet(shop / "items.parquet")
    )
    script = Recommender(
        export(Run.open(run).model(), events, tmp_path / "script", deployment=False)
    )
    file = str(shop / "interactions.parquet")
    refreshed = _export(run, tmp_path / "fresh", "--refresh-trend", "--interactions", file)
    users, items = np.sort(events.users.ids), events.catalogue.vocabulary.ids
    expected = _scores(command, users, items)
    for other in (script, refreshed):
        np.testing.assert_allclose(_scores(other, users, items), expected, rtol=1e-5, atol=1e-5)
        assert other.card["data"]["events"] == command.card["data"]["events"]


@pytest.mark.slow
def test_a_model_of_user_ids_serves_all_events_of_the_users_it_knows(shop, tmp_path, capfd):
    config = tmp_path / "ids.yaml"
    config.write_text("model: {dim: 8, user: both}\nbatch_size: 16\nepochs: 1\n")
    tables = ["--interactions", str(shop / "interactions.parquet")]
    tables += ["--items", str(shop / "items.parquet"), "--config", str(config)]
    assert main(["train", *tables, "--out", str(tmp_path / "run")]) == 0
    card = _export(tmp_path / "run", tmp_path / "export").card
    split = Run.open(tmp_path / "run").split
    assert card["data"]["users"] == len(split.train.users)
    assert card["data"]["events"] == len(split.train) + len(split.test)


@pytest.mark.slow
def test_a_later_plain_export_keeps_filters_unless_told_not_to(run, tmp_path):
    to = tmp_path / "shop"
    assert _export(run, to, "--filter", "kind").card["filters"] == ["kind"]
    assert _export(run, to).card["filters"] == ["kind"]
    assert _export(run, to, "--no-keep").card["filters"] == []


def test_options_that_do_not_go_together(run, tmp_path, shop, capsys):
    to, file = str(tmp_path / "shop"), str(shop / "interactions.parquet")
    fresh = ["--refresh-trend", "--interactions", file]
    for options, says in (
        (["--train-only", *fresh], "--train-only cannot be combined with --refresh-trend"),
        (["--stray-times", "drop"], "--stray-times needs --interactions"),
    ):
        assert main(["export", str(run), "--to", to, *options]) == 2
        assert says in capsys.readouterr().err


@pytest.mark.slow
def test_a_stray_time_stops_training_and_a_refresh_until_it_is_dropped(shop, run, tmp_path, capsys):
    table = pd.read_parquet(shop / "interactions.parquet").reset_index(drop=True)
    table.loc[0, "timestamp"] = 0.0
    stray = tmp_path / "stray"
    stray.mkdir()
    table.to_parquet(stray / "interactions.parquet")
    pd.read_parquet(shop / "items.parquet").to_parquet(stray / "items.parquet")
    command = ["train", "--interactions", str(stray / "interactions.parquet")]
    command += ["--items", str(stray / "items.parquet"), "--out", str(tmp_path / "run")]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "has 1 of" in said and "at or near 0" in said and "--stray-times" in said
    _train(stray, tmp_path / "run", "--stray-times", "drop")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["evaluation"]
    fresh = ["--refresh-trend", "--interactions", str(stray / "interactions.parquet")]
    to = str(tmp_path / "export")
    assert main(["export", str(run), "--to", to, "--no-deployment", *fresh]) == 2
    assert (
        main(["export", str(run), "--to", to, "--no-deployment", *fresh, "--stray-times", "drop"])
        == 0
    )
