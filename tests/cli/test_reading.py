"""Tables as people have them: other names, other units of time, separated lists."""

import logging

import pandas as pd
import pytest

from tfrec_fusion.cli import main
from tfrec_fusion.cli._quiet import said_once
from tfrec_fusion.export import Recommender
from tfrec_fusion.training import Run

GENRES = ["Action|Drama", "Drama", "Action | Comedy", None, "Comedy"]


@pytest.fixture(scope="module")
def folder(small_shop, tmp_path_factory):
    """The small shop as CSV files with other names, times in milliseconds and genres."""
    folder = tmp_path_factory.mktemp("films")
    events = pd.read_parquet(small_shop / "interactions.parquet")
    events["timestamp"] = (events["timestamp"] * 1000).astype("int64")
    names = {"user_id": "userId", "item_id": "movieId", "timestamp": "when"}
    events.rename(columns=names).to_csv(folder / "events.csv", index=False)
    items = pd.read_parquet(small_shop / "items.parquet").rename(columns={"item_id": "movieId"})
    items["genres"] = (GENRES * 6)[: len(items)]
    items.rename(columns={"title": "label"}).to_csv(folder / "items.CSV", index=False)
    return folder


def _train(folder, small_config, run, *more):
    files = ["--interactions", str(folder / "events.csv"), "--items", str(folder / "items.CSV")]
    return main(["train", *files, "--config", str(small_config), "--out", str(run), *more])


@pytest.mark.slow
def test_a_run_reads_evaluates_and_exports_them_the_same_way(folder, small_config, tmp_path, capfd):
    run = tmp_path / "my run's"
    options = ["--columns", "user_id=userId,item_id=movieId,timestamp=when"]
    options += ["--item-columns", "title=label", "--list", "genres=|", "--timestamp-unit", "ms"]
    assert _train(folder, small_config, run, *options) == 0
    # A printed command can be pasted into a shell.
    quoted = f"tensorboard --logdir '{tmp_path}/my run'\"'\"'s/logs'"
    assert quoted in capfd.readouterr().out
    events = Run.open(run).split.train
    assert events.timestamp.min() == pytest.approx(1.7e9, abs=86_400)
    assert events.catalogue.frame["genres"][2] == ["Action", "Comedy"]
    assert events.catalogue.titles[3] == "thing\t3"
    # The run goes on with what it knows, and the other commands know it too.
    assert main(["train", "--out", str(run)]) == 0
    assert main(["evaluate", str(run)]) == 0
    more = ["--filter", "genres", "--items", str(folder / "items.CSV")]
    assert main(["export", str(run), "--to", str(tmp_path / "export"), *more]) == 0
    shop = Recommender(tmp_path / "export")
    found = {item for item, _ in shop.recommend(k=30, filters={"genres": "Comedy"})}
    # Of each five items the third and the fifth are comedies.
    assert found == {f"i{row}" for row in range(30) if row % 5 in (2, 4)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--item-columns item_id=movieId"),
        (["--item-columns", "item_id=movieId"], "--columns user_id=userId"),
        (
            ["--item-columns", "item_id=movieId", "--columns", "user_id=userId"],
            "--columns item_id=movieId",
        ),
        (["--columns", "user_id=userId,item_id=movieId"], "timestamp"),
        (["--columns", "user_id=userid,item_id=movieId"], "similar: 'userId'"),
        (
            ["--columns", "user_id=userId,item_id=movieId,timestamp=when"],
            "looks like milliseconds and not seconds",
        ),
        (["--columns", "user_id"], "--columns: must be NAME=VALUE"),
        (["--columns", "user_id=a,user_id=b"], "--columns: 'user_id' occurs twice"),
        (["--list", "genres"], "--list: must be NAME=VALUE"),
        (["--columns", "user_id=userId,item_id=movieId", "--list", "genre=|"], "'genre'"),
        (["--timestamp-unit", "hours"], "--timestamp-unit"),
    ],
)
def test_what_is_not_said_is_asked_for_in_one_line(
    folder, small_config, tmp_path, capfd, options, words
):
    assert _train(folder, small_config, tmp_path / "run", *options) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert words in lines[0]
    assert not (tmp_path / "run").exists()


def test_embed_reads_them_too(folder, tmp_path, capfd):
    out = tmp_path / "store"
    command = ["embed", "--items", str(folder / "items.CSV"), "--encoder", "lexical"]
    command += ["--item-columns", "item_id=movieId,title=label", "--dims", "4", "--out", str(out)]
    assert main([*command, "--list", "genres=|", "--template", "{title}: {genres}"]) == 0
    assert (out / "ids.txt").read_text().split()[:2] == ["i0", "i1"]


def test_what_tables_hold_is_said_once_a_command(caplog):
    data = logging.getLogger("tfrec_fusion.data.event_table")
    other = logging.getLogger("tfrec_fusion.training.run")
    for _ in range(2):  # two commands
        with said_once("tfrec_fusion.data"):
            for dropped in (3, 3, 4, 3):
                data.warning("dropped %d events", dropped)
                other.warning("again")
    said = [record.getMessage() for record in caplog.records]
    assert said.count("dropped 3 events") == said.count("dropped 4 events") == 2
    assert said.count("again") == 8
