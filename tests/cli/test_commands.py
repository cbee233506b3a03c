import json
import subprocess
import sys

import pytest

import tfrec_fusion
from tfrec_fusion.cli import main


def test_help_names_the_commands_and_imports_no_tensorflow():
    code = (
        "import sys; from tfrec_fusion.cli import main; main(['--help']); "
        "assert 'tensorflow' not in sys.modules and 'pandas' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("quickstart", "train", "evaluate", "export", "recommend"):
        assert command in done.stdout


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{tfrec_fusion.__version__}\n"


def test_training_says_where_things_are(trained, arguments, small_config, capsys):
    # The run is there: the same command trains nothing more.
    code = main(["train", *arguments, "--config", str(small_config), "--out", str(trained)])
    out = capsys.readouterr().out
    assert code == 0
    assert f"{trained} is done" in out
    assert "total: NDCG@10" in out
    assert f"tensorboard --logdir {trained / 'logs'}" in out


def test_a_run_goes_on_by_its_folder_alone(trained, capsys):
    assert main(["train", "--out", str(trained), "--json", "-"]) == 0
    captured = capsys.readouterr()
    # Nothing but JSON is on standard output.
    assert json.loads(captured.out)["evaluation"]["split"] == "temporal"
    assert "is done" in captured.err


def test_options_go_before_the_config(trained, capsys):
    assert main(["train", "--out", str(trained), "--seed", "5"]) == 2
    assert "seed is 0 there and 5 here" in capsys.readouterr().err


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


def test_export_writes_the_next_version(trained, tmp_path, capsys):
    for version in ("1", "2"):
        assert main(["export", str(trained), "--to", str(tmp_path / "shop"), "--json", "-"]) == 0
        assert json.loads(capsys.readouterr().out)["export"] == str(tmp_path / "shop" / version)
