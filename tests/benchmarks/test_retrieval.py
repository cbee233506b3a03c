import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tfrec_fusion as tff
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.models.classic import Popularity
from tfrec_fusion.training import RunConfig

ROOT = Path(__file__).parents[2]


def worker_of(path, body):
    """A script in place of benchmarks/retrieval.py that answers a job by `body`."""
    path.write_text(
        "import json, os, signal, sys\nfrom pathlib import Path\n"
        "message = json.load(sys.stdin)\njob, path = message['job'], Path(message['path'])\n"
        "def done(**more):\n"
        "    path.with_suffix('.json').write_text(json.dumps({'job': job, **more}))\n"
        f"{body}\n"
    )
    return path


@pytest.fixture
def runs(retrieval, tables_of_retail, tmp_path):
    """A function from options to `Runs` on the small tables."""
    return lambda **more: retrieval.runs.Runs(
        retrieval.runs.Options(folder=tmp_path / "cells", **more)
    )


# Rows


def test_each_row_has_few_valid_settings_and_a_data_set(retrieval):
    tasks = retrieval.data.TASKS
    for name, row in retrieval.rows.ROWS.items():
        assert 1 <= len(row.settings) <= retrieval.rows.MOST_SETTINGS, name
        assert any(row.fits(data) for data in tasks), name
        for setting in row.settings if row.fit == "run" else ():
            values = {"data": {"interactions": "", "items": ""}, **setting}
            RunConfig.of(values, name)
    assert retrieval.rows.ROWS["EASE with text"].settings_for("ml-100k") == []


def test_members_of_compositions_are_rows_of_the_same_data_set(retrieval):
    rows = retrieval.rows.ROWS
    for data in retrieval.data.TASKS:
        for name in ("blend", "stack"):
            if rows[name].fits(data):
                members = rows[name].members_for(data)
                assert len(members) > 2
                assert all(rows[of].fits(data) for of in members.values()), data


def test_headline_rows_have_more_seeds_and_deterministic_ones_one(retrieval):
    rows = retrieval.rows.ROWS
    assert len(rows["auto"].seeds_for("retail", 3)) == 5
    assert len(rows["auto"].seeds_for("movies", 3)) == 3
    assert len(rows["auto"].seeds_for("retail", 1)) == 1
    assert len(rows["EASE"].seeds_for("retail", 3)) == 1


def test_stores_are_found_wherever_a_setting_names_them(retrieval):
    setting = {"members": {"a": {"model": {"vectors": ["text"]}}, "b": {"x": {"vectors": "words"}}}}
    assert retrieval.rows.stores_of(setting) == ["text", "words"]
    assert retrieval.rows.stores_of({"model": {"vectors": []}}) == []


# Choosing


class Oracle:
    """Ranks the test items of the split that it was given first."""

    name = "oracle"

    def __init__(self, split):
        self.matrix = split.test.matrix().toarray()

    def scorer(self, state):
        return lambda users: self.matrix[users].astype(np.float32)


def test_settings_are_chosen_on_validation_alone(retrieval, tables_of_retail, monkeypatch):
    split, seen = retrieval.data.read_task("retail", []), []

    def leak(setting, given, seed):
        seen.append(given)
        # Whoever saw test events would be perfect with them.
        model = Oracle(given) if setting["leak"] else Popularity().fit(given.train)
        return model, ""

    monkeypatch.setitem(retrieval.cells.FITS, "leak", leak)
    settings = [{"leak": True}, {"leak": False}]
    job = {"settings": settings, "fit": "leak", "seed": 0, "budget": 60.0, "data": "retail"}
    found = retrieval.cells.choose(job, split)
    assert found["setting"] == {"leak": False}
    assert len(found["tried"]) == 2
    part = split.validation()
    for given in seen:
        assert len(given.test) == 0
        assert given.train.fingerprint() == part.train.fingerprint()
    seen.clear()
    job = {"setting": {"leak": True}, "fit": "leak", "seed": 0, "data": "retail"}
    result, arrays = retrieval.cells.test(job, split)
    assert len(seen[0].test) == 0
    assert seen[0].train.fingerprint() == split.train.fingerprint()
    assert result["figures"]["NDCG@10"] < 0.9
    np.testing.assert_array_equal(arrays["users"], split.targets()[0])


def test_a_setting_is_trained_as_a_run_does_and_left_as_it_was(retrieval, tables_of_retail):
    train = retrieval.data.read_task("retail", []).train
    setting = {"model": {"kind": "ials", "dim": 4}, "epochs": 3}
    with pytest.raises(tff.errors.InputError, match="epochs applies only to models"):
        retrieval.cells.run_model(setting, "temporal", train, 5)
    del setting["epochs"]
    model = retrieval.cells.run_model(setting, "temporal", train, 5)
    assert model.config.seed == 5
    assert setting == {"model": {"kind": "ials", "dim": 4}}


def test_no_other_setting_is_begun_when_there_is_no_time(retrieval, tables_of_retail):
    split = retrieval.data.read_task("retail", [])
    settings = [{"model": {"kind": "popularity"}}, {"model": {"kind": "item_knn"}}]
    job = {"settings": settings, "fit": "run", "seed": 0, "budget": 0.0, "data": "retail"}
    assert len(retrieval.cells.choose(job, split)["tried"]) == 1


def test_dislikes_join_training_and_leave_the_targets_as_they_are(retrieval):
    rng = np.random.default_rng(0)
    pairs = rng.permutation(20 * 30)[:300]
    frame = pd.DataFrame({"user_id": [f"u{p // 30}" for p in pairs]})
    frame["item_id"] = [f"i{p % 30}" for p in pairs]
    frame["rating"] = rng.integers(1, 6, 300).astype(float)
    items = Catalogue(pd.DataFrame({"item_id": [f"i{row}" for row in range(30)]}))
    likes = Interactions.from_frame(frame, items, min_rating=4).split("random")
    graded = Interactions.from_frame(frame, items, min_rating=4, low_ratings="dislike")
    found = retrieval.data.with_dislikes(likes, graded)
    assert (found.train.matrix() != likes.train.matrix()).nnz == 0
    assert found.train.disliked().nnz > 0.6 * (frame["rating"] < 4).sum()
    assert found.train.disliked().nnz < (frame["rating"] < 4).sum()
    for mine, theirs in zip(found.targets(), likes.targets(), strict=True):
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
        else:
            np.testing.assert_array_equal(mine.items, theirs.items)


# Cells in processes


def test_a_resumed_folder_repeats_nothing(retrieval, runs, tmp_path, monkeypatch):
    body = "open(path.parent / 'log', 'a').write(job['phase'] + '\\n')\n"
    body += "done(setting={}, tried=[], **{'NDCG@10': .5})"
    monkeypatch.setattr(retrieval.runs, "SCRIPT", worker_of(tmp_path / "worker.py", body))
    log = tmp_path / "cells" / "log"
    for _ in range(2):
        assert runs().chosen("retail", "EASE") is not None
        assert log.read_text() == "choose\n"
    assert runs(seconds=5.0).chosen("retail", "EASE") is not None  # another job
    assert log.read_text() == "choose\nchoose\n"


def test_a_killed_cell_is_run_again(retrieval, runs, tmp_path, monkeypatch, capsys):
    body = (
        "first = path.parent / 'first'\n"
        "if not first.exists():\n"
        "    first.touch(); path.with_suffix('.npz').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "done(setting={'n': 1}, tried=[], **{'NDCG@10': .5})"
    )
    monkeypatch.setattr(retrieval.runs, "SCRIPT", worker_of(tmp_path / "worker.py", body))
    one = runs()
    assert one.chosen("retail", "EASE") is None
    line = "failed: retail, EASE, choose, seed 0: its process ended with status -9"
    assert one.failed == [line]
    assert capsys.readouterr().out == f"{line}\n"
    again = runs()
    assert again.chosen("retail", "EASE")["setting"] == {"n": 1}
    assert again.failed == []


def test_a_failing_cell_is_told_in_a_line_and_others_go_on(
    retrieval, runs, tmp_path, monkeypatch, capsys
):
    figures = dict.fromkeys(retrieval.cells.COLUMNS, 0.5)
    body = (
        "if job['row'] == 'EASE': raise ValueError('two\\nlines of no use')\n"
        "if job['phase'] == 'choose': done(setting={}, tried=[{}], **{'NDCG@10': .1})\n"
        f"else: done(figures={figures}, seconds=1, peak_mb=2, note='')"
    )
    monkeypatch.setattr(retrieval.runs, "SCRIPT", worker_of(tmp_path / "worker.py", body))
    one = runs()
    found = one.table("retail", ["EASE", "popularity", "EASE with order"])
    assert [row["row"] for row in found] == ["popularity"]
    assert one.failed == ["failed: retail, EASE, choose, seed 0: lines of no use"]
    assert "NDCG@10 0.5000" in capsys.readouterr().out


def test_what_is_not_there_is_left_out_with_a_line(retrieval, runs, capsys):
    assert runs().table("movies", ["EASE"]) == []
    assert runs().table("ml-100k", ["EASE"]) == []
    assert runs().table("retail", ["EASE of RecTools"]) == []
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("left out: movies: ")
    assert "lacks interactions.parquet; set TFREC_FUSION_DATA" in lines[0]
    assert lines[1] == "left out: ml-100k: pass --wheel, see --help"
    assert lines[2] == "left out: retail, EASE of RecTools: pass --peer-python"


def test_quick_has_one_setting_and_no_page(retrieval, runs, capsys):
    quick = runs(quick=True, seeds=1, auto_budget="2m")
    found = quick.chosen("retail", "TwoTower")
    assert found == {
        "setting": retrieval.rows.ROWS["TwoTower"].settings[0],
        "tried": [found["setting"]],
    }
    assert quick.chosen("retail", "auto")["setting"] == {"time_budget": "2m"}
    assert retrieval.script.QUICK == ("retail", "movies")
    with pytest.raises(SystemExit):
        retrieval.script.parsed(["--quick", "--page"])
    assert "--page and --readme need the whole benchmark" in capsys.readouterr().err


@pytest.mark.slow
def test_rows_are_chosen_and_tested_by_worker_processes(
    retrieval, tables_of_retail, tmp_path, monkeypatch, capsys
):
    out, cells = tmp_path / "rows.json", tmp_path / "cells"
    arguments = ["--data", "retail", "--rows", "popularity", "item-kNN", "EASE with words"]
    arguments += ["--folder", str(cells), "--seconds", "0", "--json", str(out)]
    assert retrieval.script.main(arguments) == 0
    rows = json.loads(out.read_text())
    assert [row["row"] for row in rows] == ["popularity", "item-kNN", "EASE with words"]
    assert {row["reference"] for row in rows} <= {row["row"] for row in rows}
    for row in rows:
        (run,) = row["runs"]
        assert 0 < run["figures"]["NDCG@10"] < 1
        assert run["peak_mb"] > 50
        assert len(row["tried"]) == 1
    shown = capsys.readouterr().out
    assert "| popularity | " in shown
    # All is kept: no process can be started.
    monkeypatch.setattr(retrieval.runs, "SCRIPT", Path(os.devnull) / "none")
    assert retrieval.script.main(arguments) == 0
    assert json.loads(out.read_text()) == rows
