"""The command `tune`."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason='needs ".[tune]"')

from tfrec_fusion.cli import main

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_the_best_config_is_trained(arguments, tmp_path, capsys):
    study, report = str(tmp_path / "study"), tmp_path / "report.json"
    options = ["--model", "ease", "--out", study, "--json", str(report)]
    assert main(["tune", *arguments, *options, "--trials", "2"]) == 0
    out = capsys.readouterr().out
    assert "trial 2 of 2: ndcg@10 0." in out
    assert "best of 2 trials" in out
    assert f"train --config {study}/best.yaml" in out
    found = json.loads(report.read_text())
    assert found["value"] == max(trial["value"] for trial in found["trials"])
    best = ["--config", f"{study}/best.yaml", "--out", str(tmp_path / "run")]
    assert main(["train", *best]) == 0
    # The same command has nothing to do, and a larger number goes on.
    assert main(["tune", *arguments, *options, "--trials", "3"]) == 0
    out = capsys.readouterr().out
    assert "going on after 2 trials" in out
    assert "trial 3 of 3" in out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model", "ease", "--trials", "0"], "tune: trials must be a whole number of 1"),
        (["--model", "ease", "--time-budget", "soon"], "tune: time_budget must be seconds"),
        (["--model", "popularity"], "no default space for model.kind 'popularity'"),
        (["--model", "ease", "--space", "nowhere.yaml"], "space: cannot read the file"),
        (["--model", "easy"], "must be one of two_tower"),
    ],
)
def test_a_mistake_is_one_line(options, says, arguments, tmp_path, capsys):
    assert main(["tune", *arguments, *options, "--out", str(tmp_path / "study")]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_without_optuna_the_extra_is_named(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["tune", *arguments, "--model", "ease", "--out", str(tmp_path / "study")]) == 2
    assert 'pip install "tfrec-fusion[tune]"' in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_study_goes_on_without_repeating_a_trial(arguments, tmp_path, monkeypatch):
    space, fits = tmp_path / "space.yaml", tmp_path / "fits"
    space.write_text("model.strength: {low: 1.0, high: 9.0}\n")
    monkeypatch.setenv("FITS", str(fits))
    monkeypatch.setenv("PYTHONPATH", f"{FIXTURES}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    study, report = tmp_path / "study", tmp_path / "report.json"
    command = ["tune", *arguments, "--model", "kills_itself:Killed", "--space", str(space)]
    command += ["--trials", "5", "--out", str(study), "--json", str(report)]
    killed = subprocess.run([sys.executable, "-m", "tfrec_fusion.cli", *command])
    assert killed.returncode == -signal.SIGKILL
    first = fits.read_text().split()
    assert len(first) == 3
    assert (study / "best.yaml").is_file()
    assert main(command) == 0
    # The third is fitted again, as it was, and the first two are not.
    fitted = fits.read_text().split()
    assert fitted[:3] == first
    assert fitted[3] == first[2]
    assert len(set(fitted)) == len(fitted) - 1 == 5
    trials = json.loads(report.read_text())["trials"]
    # The first is the config, which leaves the option to the class.
    assert [str(trial["model.strength"]) for trial in trials[1:]] == [fitted[1], *fitted[3:]]
