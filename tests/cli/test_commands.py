import json
import subprocess
import sys

import pandas as pd
import pytest
import yaml

import tfrec_fusion
from tfrec_fusion.cli import main
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender


def test_help_names_the_commands_and_imports_no_tensorflow():
    code = (
        "import sys; from tfrec_fusion.cli import main; main(['--help']); "
        "assert 'tensorflow' not in sys.modules and 'pandas' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("quickstart", "train", "evaluate", "export", "recommend"):
        assert command in done.stdout


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 2
    captured = capsys.readouterr()
    assert "Usage: tfrec-fusion" in captured.out
    assert captured.err == ""


@pytest.mark.slow
def test_tensorflow_says_nothing_from_start_to_end(trained, tmp_path):
    """Each command in a process of its own, where TensorFlow's C++ could write its notes."""
    export = str(trained.parent / "export")
    requests = tmp_path / "requests.jsonl"
    requests.write_text('{"user_id": "u1"}\n')
    for command in (
        ["evaluate", str(trained)],
        ["recommend", export, "--user", "u1"],
        ["monitor", export, "--requests", str(requests), "--logdir", str(tmp_path / "logs")],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "tfrec_fusion.cli", *command], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        # The package's own lines are about the data.
        notes = [x for x in done.stderr.splitlines() if not x.startswith("interactions: ")]
        assert notes == []


@pytest.mark.slow
def test_evaluate_a_ranker_prints_a_table(arguments, tmp_path, capsys):
    config = tmp_path / "ranker.yaml"
    config.write_text("model: {kind: ranker, dim: 8, hidden: [8]}\nepochs: 1\n")
    run = str(tmp_path / "run")
    assert main(["train", *arguments, "--config", str(config), "--out", run]) == 0
    assert "total: GAUC 0." in capsys.readouterr().out
    path = tmp_path / "report.json"
    assert main(["evaluate", run, "--baselines", "--json", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(path.read_text())
    gauc = [report["gauc"] for report in (result["evaluation"], *result["baselines"])]
    rows = [line.split("│")[1:-1] for line in lines if line.startswith("│")]
    rows = {name.strip(): [cell.strip() for cell in cells] for name, *cells in rows}
    assert rows["GAUC"][0] == rows["ranker"][0] == f"{gauc[0]:.4f}"
    # A popularity has no probabilities.
    assert rows["popularity"][0] == f"{gauc[1]:.4f}"
    assert rows["popularity"][3:] == ["-", "-", "-"]
    total = result["evaluation"]["slices"]["total"]
    assert rows["ECE"][0] == rows["ranker"][-1] == f"{total['metrics']['ece']:.4f}"
    low, high = total["intervals"]["gauc"]
    assert rows["GAUC"][1] == f"{low:.4f} - {high:.4f}" and low <= gauc[0] <= high
    assert result["baselines"][0]["slices"]["cold"]["metrics"]["ece"] is None
    assert "RankingReport" not in "".join(lines)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{tfrec_fusion.__version__}\n"


def test_training_says_where_things_are(trained, arguments, small_config, capsys):
    # The run is there: the same command trains nothing more.
    code = main(["train", *arguments, "--config", str(small_config), "--out", str(trained)])
    out = capsys.readouterr().out
    assert code == 0
    assert f"{trained} is already done" in out
    assert "total: NDCG@10" in out
    assert f"tensorboard --logdir {trained / 'logs'}" in out


def test_a_run_goes_on_by_its_folder_alone(trained, capsys):
    assert main(["train", "--out", str(trained), "--json", "-"]) == 0
    captured = capsys.readouterr()
    # Nothing but JSON is on standard output.
    assert json.loads(captured.out)["evaluation"]["split"] == "temporal"
    assert "is already done" in captured.err


def test_options_go_before_the_config(trained, capsys):
    assert main(["train", "--out", str(trained), "--seed", "5"]) == 2
    assert "seed is 0 there and 5 here" in capsys.readouterr().err


def test_an_export_says_once_what_its_tables_hold(arguments, tmp_path, caplog):
    run = str(tmp_path / "run")
    assert main(["train", *arguments, "--model", "popularity", "--out", run]) == 0
    caplog.clear()
    assert main(["export", run, "--to", str(tmp_path / "shop"), "--no-deployment"]) == 0
    said = [record.getMessage() for record in caplog.records]
    assert len([text for text in said if "ratings are from 1 to 5" in text]) == 1


def test_evaluate_beside_baselines(trained, tmp_path, capsys):
    path = tmp_path / "report.json"
    assert main(["evaluate", str(trained), "--baselines", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "ndcg@10" in out
    assert "popularity" in out
    assert "[bold]" not in out
    result = json.loads(path.read_text())
    names = [report["name"] for report in result["baselines"]]
    assert names[0] == "popularity"
    train = json.loads((trained / "metrics.json").read_text())
    total = result["evaluation"]["slices"]["total"]["metrics"]
    expected = train["evaluation"]["slices"]["total"]["metrics"]
    assert total == pytest.approx(expected)


def test_recommend_from_the_export(trained, capsys):
    export = str(trained.parent / "export")
    options = ["--user", "nobody", "--history", "i3, i4", "--exclude", "i5,i6", "-k", "40"]
    assert main(["recommend", export, *options, "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    items = [item["item_id"] for item in result["items"]]
    # All 30 but two of the history and two excluded.
    assert sorted(items) == sorted({f"i{row}" for row in range(30)} - {"i3", "i4", "i5", "i6"})
    scores = [item["score"] for item in result["items"]]
    assert scores == sorted(scores, reverse=True)
    assert result["items"][0]["title"] == f"thing\t{items[0][1:]}"
    assert main(["recommend", export, "--user", "u1", "-k", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_recommend_from_the_run_says_where_scores_come_from(trained, capsys):
    options = ["--user", "u1", "--exclude", "i5", "-k", "4"]
    assert main(["recommend", str(trained), *options, "--explain", "--json", "-"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    for item in result["items"]:
        assert list(item["shares"]) == ["id", "text", "context", "bias"]
        assert sum(item["shares"].values()) == pytest.approx(item["score"], abs=1e-4)
        assert len(item["nearest"]) == 3
        assert {"item_id", "cosine", "title"} == set(item["nearest"][0])
    lines = captured.err.splitlines()
    assert lines[0].split()[:8] == [
        "item",
        "title",
        "score",
        "id",
        "text",
        "context",
        "bias",
        "nearest",
    ]
    assert len(lines) == 5
    # The same items as from the export, which has the same events.
    for source in (trained, trained.parent / "export"):
        assert main(["recommend", str(source), *options, "--json", "-"]) == 0
        same = json.loads(capsys.readouterr().out)
        assert [i["item_id"] for i in same["items"]] == [i["item_id"] for i in result["items"]]


def test_recommend_names_the_ids_that_are_unknown(trained, capsys, caplog):
    options = ["--user", "U1", "--exclude", "i5,I6,i 7", "-k", "2", "--json", "-"]
    expected = {"user_id": ["U1"], "exclude": ["I6", "i 7"]}
    assert main(["recommend", str(trained), *options]) == 0
    assert json.loads(capsys.readouterr().out)["unknown"] == expected
    export = str(trained.parent / "export")
    past = ["--history", "i3,i99", "--history-ages", "30,2.5"]
    assert main(["recommend", export, *options, *past]) == 0
    expected = {"user_id": ["U1"], "history": ["i99"], "exclude": ["I6", "i 7"]}
    assert json.loads(capsys.readouterr().out)["unknown"] == expected
    assert caplog.text.count("ignored unknown ids: {'user_id': ['U1']") == 2
    assert main(["recommend", export, "--user", "u1", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["unknown"] == {}


def test_recommend_to_many(trained, tmp_path, capsys):
    export, out = str(trained.parent / "export"), tmp_path / "recs.parquet"
    command = ["recommend", export, "--users", "all", "--out", str(out), "--k", "3"]
    assert main([*command, "--exclude", "i3", "--json", "-"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    frame = pd.read_parquet(out)
    assert frame.columns.tolist() == ["user_id", "rank", "item_id", "score", "known"]
    assert (
        (len(frame), frame["user_id"].nunique()) == (result["rows"], result["users"]) == (120, 40)
    )
    assert "i3" not in set(frame["item_id"])
    assert f"{out}: 120 rows of 40 users, " in captured.err
    users = tmp_path / "users.csv"
    users.write_text("user_id\nu1\nnobody\n")
    command[3] = str(users)
    assert main([*command, "--new-users", "drop"]) == 0
    assert pd.read_parquet(out)["user_id"].tolist() == ["u1"] * 3


def test_recommend_says_what_does_not_go_together(trained, tmp_path, capsys):
    export, out = str(trained.parent / "export"), ["--out", str(tmp_path / "recs.parquet")]
    for source, options, says in (
        (
            export,
            [],
            "pass one of --user ID, --users all|FILE, --similar-to ITEM and --audience-of",
        ),
        (export, ["--user", "u1", "--users", "all", *out], "pass one of --user ID, --users"),
        (export, ["--similar-to", "i1", "--exclude", "i2"], "--exclude-seen are of --user"),
        (export, ["--audience-of", "i1"], "no signature 'audience'"),
        (export, ["--users", "all"], "pass both --users all|FILE and --out FILE, or neither"),
        (export, ["--user", "u1", *out], "pass both --users all|FILE and --out FILE, or neither"),
        (export, ["--users", "all", "--history", "i1", *out], "--history-ages are of one"),
        (str(trained), ["--user", "u1", "--history-ages", "3"], "--history-ages needs an export"),
        (
            export,
            ["--user", "u1", "--history", "i1", "--history-ages", "x"],
            "--history-ages must be numbers with commas between them. Received: 'x'",
        ),
        (
            export,
            ["--user", "u1", "--history", "i1,i2", "--history-ages", "3"],
            "history_ages must be a list with the age in days of each of the 2 items",
        ),
        (export, ["--users", "ALL", *out], "users: no such file or folder; single ids are"),
        (str(trained), ["--users", "all", *out], "--users needs an export"),
        (str(trained), ["--user", "u1", "--exclude-seen"], "--exclude-seen needs an export"),
        (export, ["--user", "u1", "--filter", "x"], "--filter: must be NAME=VALUE. Received: 'x'"),
        (export, ["--user", "u1", "--filter", "x=1"], "the export has no filter 'x'"),
    ):
        assert main(["recommend", source, *options]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_items_like_an_item_and_users_for_it(trained, tmp_path, capsys):
    base = str(tmp_path / "shop")
    command = ["export", str(trained), "--to", base, "--no-deployment", "--audience"]
    assert main([*command, "--similar", "text"]) == 0
    capsys.readouterr()
    assert main(["recommend", base, "--similar-to", "i3", "--k", "4", "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["item_id"] == "i3"
    assert len({item["item_id"] for item in result["items"]} - {"i3"}) == 4
    assert result["items"][0]["title"].startswith("thing")
    assert main(["recommend", base, "--audience-of", "i3", "--k", "2", "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    shop = Recommender(base)
    expected = [{"user_id": user, "score": score} for user, score in shop.audience("i3", k=2)]
    assert result["users"] == expected and len(expected) == 2
    assert (shop.card["similar"], shop.card["audience"] > 0) == ("text", True)


@pytest.mark.slow
def test_items_found_for_a_text(trained, tmp_path, capsys):
    base = str(tmp_path / "shop")
    assert main(["export", str(trained), "--to", base, "--no-deployment", "--search", "title"]) == 0
    capsys.readouterr()
    for more in ([], ["--user", "u1"]):
        command = ["recommend", base, "--search", "thing 7", "--k", "3", "--json", "-", *more]
        assert main(command) == 0
        result = json.loads(capsys.readouterr().out)
        found = [item["item_id"] for item in result["items"]]
        # The user's own order may put another thing first.
        assert result["query"] == "thing 7" and "i7" in (found if more else found[:1])
    assert main(["recommend", base, "--search", "x", "--history", "i1", "--user", "u1"]) == 2
    assert "--search takes --user, --filter and --k alone" in capsys.readouterr().err
    assert main(["recommend", base, "--search", "x", "--similar-to", "i1"]) == 2
    assert "--search is for one --user or nobody" in capsys.readouterr().err
    command = ["export", str(trained), "--to", base, "--no-deployment", "--search", "none"]
    assert main(command) == 0
    assert main(["recommend", base, "--search", "x"]) == 2
    assert "has no signature 'search'" in capsys.readouterr().err


def test_filters_are_parsed_by_their_kinds():
    from tfrec_fusion.cli._recommend import _filters

    dtypes = {"kind": "string", "price_max": "float32", "in_stock": "bool"}
    texts = ["kind=a=b", "kind=c, d", "price_max=2e1", "in_stock=True"]
    found = {"kind": ["a=b", "c, d"], "price_max": 20.0, "in_stock": True}
    assert _filters(texts, dtypes) == found
    for text, says in (
        ("price_max=x", "price_max must be a number. Received: 'x'"),
        ("in_stock=1", "in_stock must be true or false. Received: '1'"),
        ("=1", "must be NAME=VALUE"),
    ):
        with pytest.raises(InputError, match=says):
            _filters([text], dtypes)
    with pytest.raises(InputError, match="'price_max' occurs twice"):
        _filters(["price_max=1", "price_max=2"], dtypes)


def test_recommend_says_what_a_run_or_an_export_cannot(trained, capsys):
    for source, option, says in (
        (trained.parent / "export", ["--explain"], "--explain needs a run folder"),
        (trained, ["--history", "i3"], "--history needs an export"),
        (trained, ["-k", "0"], "k must be a whole number of at least 1. Received: 0"),
        (trained.parent / "export", ["-k", "-3"], "k must be a whole number of at least 1"),
    ):
        assert main(["recommend", str(source), "--user", "u1", *option]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1


@pytest.mark.slow
def test_an_export_that_explains(trained, tmp_path, capsys, caplog):
    command = [
        "export",
        str(trained),
        "--to",
        str(tmp_path / "shop"),
        "--no-deployment",
        "--explain",
    ]
    assert main(command) == 0
    size = Recommender(tmp_path / "shop").card["explain"]
    assert f"explain adds {size:,} bytes" in caplog.text
    capsys.readouterr()


def test_export_writes_the_next_version_with_filters_rules_and_newer_items(
    trained, tmp_path, capsys
):
    items, rules = tmp_path / "items.csv", tmp_path / "rules.yaml"
    rows = [f"i{row},new,{'dear' if row < 5 else 'cheap'}\n" for row in reversed(range(30))]
    items.write_text("item_id,title,kind\n" + "".join(rows))
    rules.write_text("block: [{item: i3}]\npin: [{item: i17, position: 2}]\n")
    options = ["--filter", "kind", "--rules", str(rules), "--items", str(items)]
    for version, more in (("1", []), ("2", options)):
        command = ["export", str(trained), "--to", str(tmp_path / "shop"), "--json", "-", *more]
        assert main(command) == 0
        assert json.loads(capsys.readouterr().out)["export"] == str(tmp_path / "shop" / version)
    shop = Recommender(tmp_path / "shop")
    found = [item for item, _ in shop.recommend("nobody", k=9, filters={"kind": "dear"})]
    assert sorted(found) == ["i0", "i1", "i2", "i4"]
    assert shop.recommend("nobody", k=9)[1][0] == "i17"
    assert set(shop.titles) == {"new"}


@pytest.mark.slow
def test_a_small_version_and_its_refresh_with_newer_interactions(
    trained, small_shop, tmp_path, capsys
):
    shop, events = tmp_path / "shop", small_shop / "interactions.parquet"
    command = ["export", str(trained), "--to", str(shop), "--no-deployment", "--json", "-"]
    loose = ["--min-overlap", "0.1", "--max-loss", "1"]
    rules = tmp_path / "rules.yaml"
    rules.write_text("block: [{item: i3}]\n")
    for more in (
        ["--precision", "int8", "--rules", str(rules), "--train-only"],
        ["--refresh-trend", "--interactions", str(events)],
    ):
        assert main([*command, *loose, *more]) == 0
        printed = capsys.readouterr()
        report = json.loads(printed.out)["parity"]
        assert report["precision"] == "int8"
        assert "overlap of the first 10" in printed.err
    first, second = (Recommender(shop / version) for version in "12")
    # The test events of the run are in the newer interactions, and count.
    assert second.card["data"]["events"] > first.card["data"]["events"]
    assert first.card["rules"]
    assert second.card["rules"] == first.card["rules"]
    assert "i3" not in {item for item, _ in second.recommend("nobody", k=30)}


@pytest.mark.parametrize("more", [["--refresh-trend"], ["--interactions", "events.csv"]])
def test_a_refresh_needs_interactions(trained, tmp_path, capsys, more):
    assert main(["export", str(trained), "--to", str(tmp_path / "shop"), *more]) == 2
    assert "pass both --refresh-trend and --interactions FILE" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_is_extended_overwritten_and_started_from(arguments, small_config, tmp_path, capsys):
    run = tmp_path / "run"

    def train(*options):
        assert main(["train", *map(str, options), "--json", "-"]) == 0
        captured = capsys.readouterr()
        return json.loads(captured.out), captured.err

    result, err = train(*arguments, "--config", small_config, "--out", run)
    assert result["trained"] and len(result["history"]["loss"]) == 1
    # 40 users of the small shop are few.
    assert "Few users: with" in err and err.count("Few users") == 1
    result, err = train("--out", run)
    assert not result["trained"]
    assert f"{run} is already done with its 1 epochs, so nothing was trained; pass a larger" in err
    result, err = train("--out", run, "--epochs", 2)
    assert result["trained"] and len(result["history"]["loss"]) == 2
    assert "resuming after epoch 1 of 2" in err
    assert "follows the schedule of 2 epochs, so it is higher than at the end of 1" in err
    result, err = train("--out", run, "--epochs", 1, "--overwrite")
    assert result["trained"] and len(result["history"]["loss"]) == 1
    result, err = train("--out", tmp_path / "next", "--from", run, "--seed", 4)
    assert result["trained"] and len(result["history"]["loss"]) == 1
    config = yaml.safe_load((tmp_path / "next/config.yaml").read_text())
    assert (config["from_run"], config["seed"], config["model"]["dim"]) == (str(run), 4, 8)
