"""A run's config at several origins, from the command line."""

import json

import pytest

from tfrec_fusion.cli import main


@pytest.fixture(scope="module")
def run(arguments, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ease") / "run"
    assert main(["train", *arguments, "--model", "ease", "--out", str(folder)]) == 0
    return folder


def test_a_classic_model_at_two_origins(run, tmp_path, capsys):
    path = tmp_path / "report.json"
    command = ["evaluate", str(run), "--origins", "2", "--baselines", "--json", str(path)]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "2 origins" in captured.out
    assert "minus ease" in captured.out
    assert "evaluated " in captured.err
    found = json.loads(path.read_text())["origins"]
    assert found["reference"] == "ease"
    # The ease of the config has the default options, so it is the baseline of this name.
    assert {"ease", "popularity", "recent popularity", "EASE + text"} <= found["models"].keys()
    assert "EASE" not in found["models"]
    first, second = found["origins"]
    assert first["end"] == second["start"]
    # The second call has nothing to do.
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "evaluated " not in captured.err
    assert json.loads(path.read_text())["origins"] == found


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--test", "0.2"], "evaluate: --test needs --origins. Received: 0.2"),
        (["--window-days", "3"], "evaluate: --window-days needs --origins. Received: 3"),
        (["--origins", "0"], "origins must be a whole number of 1 or more. Received: 0"),
        (["--origins", "2", "--test", "1.5"], "test must be a share between 0 and 1"),
        (["--origins", "2", "--window-days", "9999"], "longer than the tested period of"),
        (["--origins", "5000"], "has no evaluated user among"),
    ],
)
def test_a_mistake_is_one_line(run, options, says, capsys):
    assert main(["evaluate", str(run), *options]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_the_model_is_not_among_its_baselines(run, tmp_path):
    path = tmp_path / "report.json"
    assert main(["evaluate", str(run), "--baselines", "--json", str(path)]) == 0
    names = [one["name"] for one in json.loads(path.read_text())["baselines"]]
    assert "popularity" in names and "EASE + text" in names
    assert "EASE" not in names


def test_a_sample_of_users_at_origins(run, capsys):
    assert main(["evaluate", str(run), "--origins", "2", "--users", "3"]) == 0
    assert "At 2 of 2 origins, a random sample of 3 users, of up to" in capsys.readouterr().out
