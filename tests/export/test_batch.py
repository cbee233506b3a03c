"""Batch recommendation: the answers of single requests, each user once, whatever happens."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, batch

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def shop(exported):
    return Recommender(exported)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(batch, "MOST_USERS", 4)
    monkeypatch.setattr(batch, "PART_ROWS", 20)


def _lists(path):
    """User -> (item, score) pairs in order of their ranks, which are 1, 2, ..."""
    frame = pd.read_parquet(path)
    assert list(frame) == ["user_id", "rank", "item_id", "score", "known"]
    found = {}
    for user, rows in frame.groupby("user_id", sort=False):
        assert rows["rank"].tolist() == [*range(1, len(rows) + 1)]
        found[user] = list(zip(rows["item_id"], rows["score"], strict=True))
    return found


def _same(found, expected):
    assert [item for item, _ in found] == [item for item, _ in expected]
    np.testing.assert_allclose(
        [s for _, s in found], [s for _, s in expected], rtol=1e-5, atol=1e-5
    )


def test_all_users_get_the_answers_of_single_requests(shop, events, tmp_path, small_parts):
    out = tmp_path / "new folder" / "recs.parquet"
    asked = {"k": 7, "exclude": ["item4"], "include": list(events.catalogue.vocabulary.ids[:20])}
    report = shop.recommend_all(out, **asked, **QUIET)
    lists = _lists(out)
    assert list(lists) == events.users.ids.tolist()
    for user, found in lists.items():
        _same(found, shop.recommend(user, **asked))
    assert report.users == len(lists) == 30 and report.new_users == report.resumed == 0
    assert report.rows == sum(map(len, lists.values())) == pq.read_metadata(out).num_rows
    assert [path.name for path in out.parent.iterdir()] == ["recs.parquet"]


@pytest.mark.slow
def test_filters_and_rules_hold(ruled, tmp_path):
    folder, _ = ruled
    shop = Recommender(folder)
    name = next(name for name, dtype in shop.filters.items() if dtype == "float32")
    filters = {name: 20.0}
    users = ["nobody", "ü 3", "ü 4"]
    shop.recommend_all(tmp_path / "recs.parquet", users, k=5, filters=filters, **QUIET)
    for user, found in _lists(tmp_path / "recs.parquet").items():
        _same(found, shop.recommend(user, k=5, filters=filters))


@pytest.mark.parametrize("ending", ["parquet", "csv", "txt"])
def test_users_of_a_file(shop, tmp_path, caplog, ending):
    ids = ["nobody", "ü 5", "ü 3", "ü 5", "00"]
    path, out = tmp_path / f"users.{ending}", tmp_path / "recs.parquet"
    frame = pd.DataFrame({"age": range(5), "user_id": ids})
    if ending == "parquet":
        frame.to_parquet(path)
    elif ending == "csv":
        frame.to_csv(path, index=False)
    else:
        path.write_bytes("\r\n".join([*ids, ""]).encode())
    report = shop.recommend_all(out, path, k=3, **QUIET)
    lists = _lists(out)
    assert list(lists) == ["nobody", "ü 5", "ü 3", "00"]
    for user, found in lists.items():
        _same(found, shop.recommend(user, k=3))
    assert lists["nobody"] == lists["00"]
    known = pd.read_parquet(out).groupby("user_id")["known"].all()
    assert known.to_dict() == {"nobody": False, "ü 5": True, "ü 3": True, "00": False}
    assert (report.users, report.new_users) == (4, 2)
    assert "1 of 5 user ids are repeated" in caplog.text
    assert "2 of 4 users are not in the export and get the answer of a new user" in caplog.text
    assert "['nobody', '00']" in caplog.text
    report = shop.recommend_all(out, path, k=3, new_users="drop", **QUIET)
    assert list(_lists(out)) == ["ü 5", "ü 3"]
    assert (report.users, report.new_users, report.rows) == (2, 2, 6)


def test_users_without_an_item_have_no_rows(shop, tmp_path):
    users = np.array(["ü 3", "ü 4"])
    report = shop.recommend_all(tmp_path / "r.parquet", users, include=["x"], **QUIET)
    assert (report.users, report.rows) == (2, 0)
    assert _lists(tmp_path / "r.parquet") == {}


def _interrupted(shop, monkeypatch, calls, *args, **options):
    """Runs until the answers of `calls` batches are there."""
    own, left = batch._table, [calls]

    def limited(*rows):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return own(*rows)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(batch, "_table", limited)
        shop.recommend_all(*args, **options, **QUIET)


def test_it_goes_on_and_starts_anew_if_something_changed(
    shop, monkeypatch, tmp_path, small_parts, caplog
):
    whole, out, users = tmp_path / "whole.parquet", tmp_path / "recs.parquet", tmp_path / "u.txt"
    shop.recommend_all(whole, k=5, **QUIET)
    _interrupted(shop, monkeypatch, 5, out, k=5)
    assert not out.exists()
    parts = tmp_path / ".recs.parquet.parts"
    assert len(list(parts.glob("*.parquet"))) == 5
    report = shop.recommend_all(out, k=5, **QUIET)
    assert report.resumed == 20 and "goes on after 20 users" in caplog.text
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(whole))
    assert not parts.exists()

    many = "".join(f"ü {i}\n" for i in range(30))
    for name, text, k in (("k", many, 6), ("users", "ü 3\n", 5)):
        users.write_text(many)
        _interrupted(shop, monkeypatch, 5, out, users, k=5)
        users.write_text(text)
        caplog.clear()
        report = shop.recommend_all(out, users, k=k, **QUIET)
        assert report.resumed == 0
        assert "without the 20 users of an interrupted run" in caplog.text
        assert f"because of a change of: {name}" in caplog.text
        assert list(_lists(out)) == text.splitlines()
        assert {len(found) for found in _lists(out).values()} == {k}
    # A part that was lost takes those after it along.
    _interrupted(shop, monkeypatch, 7, out, k=5)
    names = sorted(parts.glob("*.parquet"), key=lambda path: int(path.name.partition("-")[0]))
    names[1].unlink()
    assert shop.recommend_all(out, k=5, **QUIET).resumed == 4
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(whole))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": 0}, "k must be a whole number of at least 1. Received: 0"),
        ({"users": "absent.parquet"}, r"no such file or folder; .* Received: absent\.parquet"),
        ({"users": "u17"}, "no such file or folder; single ids are a list .* Received: u17"),
        ({"users": []}, "users: the table has no rows"),
        ({"users": ["a", None]}, "'user_id' has 1 null values, first at rows 1"),
        ({"users": ["a", ""]}, "'user_id' has 1 empty ids, first at rows 1"),
        ({"users": [7, 8]}, "'user_id' must hold strings, but 2 values are not"),
        ({"users": ["a\ud83d"]}, "half of a character"),
        ({"users": 7}, 'users must be "all", a path or a list of ids. Received: int'),
        ({"users": ["x"], "new_users": "drop"}, r"no user is left.* Received: \['x'\]"),
        ({"new_users": "no"}, "new_users must be one of keep, drop. Received: 'no'"),
        ({"filters": {"color": "red"}}, "the export has no filter 'color'"),
        ({"out": "."}, "out must be a file, not a folder. Received: ."),
        ({"out": "recs.csv"}, r"out must end in \.parquet\. Received: recs\.csv"),
        ({"out": "s3://b/recs.parquet"}, "s3:// is not supported"),
    ],
)
def test_mistakes_are_named(shop, tmp_path, monkeypatch, options, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=says) as caught:
        shop.recommend_all(**{"out": "recs.parquet", **options}, **QUIET)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_two_processes_at_once(shop, tmp_path):
    from tfrec_fusion.files import alone

    out, parts = tmp_path / "recs.parquet", tmp_path / ".recs.parquet.parts"
    parts.mkdir()
    busy = pytest.raises(InputError, match=r"another process is writing .*recs\.parquet")
    with alone(parts / "lock"), busy:
        shop.recommend_all(out, **QUIET)
    shop.recommend_all(out, **QUIET)


@pytest.mark.slow
def test_killed_three_times_it_has_every_user_once(exported, shop, tmp_path):
    out, whole = tmp_path / "kept" / "recs.parquet", tmp_path / "whole.parquet"
    script = Path(__file__).parents[1] / "fixtures" / "recommend_until_killed.py"
    # Before the second part is in place, before the whole is, and before the parts are removed.
    kills = [("os.rename", 3), ("os.rename", 7), ("shutil.rmtree", 1)]
    parts = []
    for event, number in kills:
        command = [sys.executable, str(script), str(exported), str(out), event, str(number)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        assert done.returncode == -9, done.stderr
        parts.append(len(list(out.parent.glob(".recs.parquet.parts/[0-9]*.parquet"))))
    assert parts == [1, 7, 8]
    report = shop.recommend_all(out, k=5, **QUIET)
    assert report.resumed == report.users == 30
    shop.recommend_all(whole, k=5, **QUIET)
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(whole))
    assert sorted(path.name for path in out.parent.iterdir()) == ["recs.parquet"]
