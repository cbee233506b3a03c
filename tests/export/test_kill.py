"""A kill -9 of an export or a refresh leaves whole versions only, and all that were reported."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tfrec_fusion.deploy.models_config import read_models
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.export.versions import versions

# The first two are of the files of ids, this one gives the complete folder its number, and those
# after it put the files of the server in place.
BEFORE_RENAME = "rename 3"
COMMANDS = ("export", "refresh")


def _start(command, base, *arguments):
    script = Path(__file__).parents[1] / "fixtures" / "export_until_killed.py"
    command = [sys.executable, str(script), command, str(base), *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
    )


def _check(base, reported, model, events):
    found = versions(base)
    assert reported
    assert {Path(line) for line in reported} <= set(found.values())
    for folder in found.values():
        recommender = Recommender(folder)
        assert len(recommender.recommend("ü 3", k=5)) == 5
        assert len(recommender.titles) == len(events.catalogue)
        assert recommender.card["format"] == 1
    again = export(model, events, base)
    assert int(again.name) == max(found) + 1
    assert sorted(path.name for path in base.iterdir()) == sorted(map(str, versions(base)))
    beside = {path.name for path in base.parent.iterdir()}
    assert not {name for name in beside if name.startswith(".")} - {".deployment.lock"}
    if "models.config" in beside:
        shop = read_models(base.parent / "models.config")["shop"]
        assert {int(again.name)} <= set(shop["versions"]) <= set(versions(base))


def _kill_at_a_random_moment(command, base, seed):
    process = _start(command, base)
    reported = [process.stdout.readline().strip()]
    try:
        # An export takes about a second, so this is anywhere in the next one or two.
        process.wait(timeout=random.Random(seed).uniform(0, 2))
    except subprocess.TimeoutExpired:
        process.kill()
    rest, _ = process.communicate()
    return reported + rest.split("\n")[:-1]


def _kill_at_event(command, base, event):
    process = _start(command, base, event)
    rest, _ = process.communicate(timeout=300)
    assert process.returncode == -9
    return rest.split("\n")[:-1]


@pytest.mark.slow
def test_killed_before_the_rename(tmp_path, model, events):
    base = tmp_path / "shop"
    reported = _kill_at_event("refresh", base, BEFORE_RENAME)
    assert len(versions(base)) == len(reported) == 1
    (left,) = base.glob(".tmp-*")
    assert (left / "version" / "saved_model.pb").is_file()
    _check(base, reported, model, events)


@pytest.mark.slow
def test_killed_at_a_random_moment(tmp_path, model, events):
    base = tmp_path / "shop"
    _check(base, _kill_at_a_random_moment("export", base, 0), model, events)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "event",
    [
        *(pytest.param(event, marks=pytest.mark.slow) for event in (1, "rename 4")),
        *(
            pytest.param(event, marks=pytest.mark.acceptance)
            for event in (4, 9, 15, 21, 27, 31, 35, 40, "rename 6")
        ),
    ],
)
def test_killed_at_a_file_event(tmp_path, model, events, command, event):
    base = tmp_path / "shop"
    _check(base, _kill_at_event(command, base, event), model, events)


@pytest.mark.acceptance
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("seed", range(1, 6))
def test_killed_at_more_random_moments(tmp_path, model, events, command, seed):
    base = tmp_path / "shop"
    _check(base, _kill_at_a_random_moment(command, base, seed), model, events)


@pytest.mark.acceptance
def test_an_export_and_a_refresh_at_once_write_versions_of_their_own(tmp_path, model, events):
    base = tmp_path / "shop"
    export(model, events, base)
    processes = [_start(command, base) for command in COMMANDS]
    reported = [
        line for process in processes for line in (process.stdout.readline() for _ in range(3))
    ]
    for process in processes:
        process.kill()
    reported += [line for process in processes for line in process.communicate()[0].split("\n")]
    reported = [line.strip() for line in reported if line.strip()]
    assert len(set(reported)) == len(reported) >= 6
    _check(base, reported, model, events)
