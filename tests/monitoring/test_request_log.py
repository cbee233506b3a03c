import gzip
import json
import math

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.monitoring import read_requests

ROWS = [
    {
        "time": "2025-11-22T08:00:00Z",
        "signature": "recommend",
        "version": 2,
        "user_id": "käse",
        "history": ["a", "", "b"],
        "k": 3,
        "item_ids": ["c", "d", ""],
        "scores": [2.5, 1.5, -3.4e38],
        "hour": 8,
        "channel": "web",
    },
    {"time": 1.765e9, "user_id": None, "item_ids": [], "scores": [], "channel": None},
]


def _lines(path, rows=ROWS):
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    return path


def _check(found):
    assert found["time"].tolist() == [1763798400.0, 1.765e9]
    assert found["signature"].tolist() == ["recommend", "recommend"]
    assert found["version"][0] == 2 and math.isnan(found["version"][1])
    assert found["user_id"].tolist() == ["käse", ""]
    assert found["history"].tolist() == [["a", "b"], []]
    assert found["items"].tolist() == [[], []]
    assert found["item_ids"].tolist() == [["c", "d"], []]
    assert found["scores"].tolist() == [[2.5, 1.5], []]
    assert found["hour"][0] == 8 and math.isnan(found["hour"][1])
    assert found["channel"].tolist() == ["web", ""]


def test_json_lines(tmp_path):
    _check(read_requests(_lines(tmp_path / "a.jsonl")))


def test_compressed_json_lines(tmp_path):
    path = _lines(tmp_path / "a.jsonl")
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    _check(read_requests(packed))


def test_parquet(tmp_path):
    frame = pd.DataFrame(ROWS)
    frame["time"] = pd.to_datetime([1763798400, 1_765_000_000], unit="s")
    frame.to_parquet(tmp_path / "a.parquet")
    _check(read_requests(tmp_path / "a.parquet"))


def test_a_folder_and_a_file_together_since(tmp_path):
    (tmp_path / "logs").mkdir()
    _lines(tmp_path / "logs" / "a.jsonl")
    (tmp_path / "logs" / ".part.jsonl").write_text("{")
    _lines(tmp_path / "b.jsonl", ROWS[1:])
    paths = [tmp_path / "logs", tmp_path / "b.jsonl"]
    assert len(read_requests(paths)) == 3
    assert read_requests(paths, since=1.765e9)["user_id"].tolist() == ["", ""]
    assert len(read_requests(paths, since=1.9e9)) == 0


def test_an_empty_log_has_no_requests(tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    assert len(read_requests(tmp_path / "a.jsonl")) == 0


def test_tags_of_requests_are_left_out(tmp_path):
    rows = [{"user_id": "u", "user_likes": ["a", "b"], "user_age": 31}, {"user_id": "v"}]
    found = read_requests(_lines(tmp_path / "a.jsonl", rows))
    assert found["user_age"].tolist()[:1] == [31.0]
    assert "user_likes" not in found


def test_null_scores_are_not_finite(tmp_path):
    found = read_requests(
        _lines(tmp_path / "a.jsonl", [{"user_id": "u", "item_ids": ["a"], "scores": [None]}])
    )
    assert np.isnan(found["scores"][0]).tolist() == [True]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"user_id": 7}, r"line 2: column 'user_id' must be a text. Received: 7"),
        ({"history": "a,b"}, "line 2: column 'history' must be a list of texts"),
        ({"history": ["a", 1]}, "line 2: column 'history' must be a list of texts"),
        ({"items": {"a": 1}}, "line 2: column 'items' must be a list of texts"),
        ({"scores": 0.5}, "line 2: column 'scores' must be a list of numbers"),
        ({"scores": ["high"]}, "line 2: column 'scores' must be a number"),
        (
            {"item_ids": ["a"], "scores": [1, 2]},
            "line 2: column 'scores' must have one score for each of the 1 item_ids. Received: 2",
        ),
        ({"time": "yesterday"}, "line 2: column 'time' must be unix seconds or an ISO 8601 time"),
        ({"time": 1.7e12}, "line 2: column 'time' must be unix seconds.* divide by 1000"),
        ({"time": 19_675}, "line 2: column 'time' must be unix seconds.* multiply by 86400"),
        ({"time": "2100-01-01"}, "line 2: column 'time' must be unix seconds from 1990-01-01"),
        ({"time": 0}, "line 2: column 'time' must be unix seconds from 1990-01-01"),
        ({"time": -5}, "line 2: column 'time' must be unix seconds from 1990-01-01"),
        ({"time": True}, "line 2: column 'time' must be a number"),
        ({"version": "two"}, "line 2: column 'version' must be a number"),
        ({"k": True}, "line 2: column 'k' must be a number"),
        ({"score": [1.0]}, "line 2: column 'score' must be a number"),
        ({"channel": 3}, "line 2: column 'channel' must be a text. Received: 3"),
    ],
)
def test_a_bad_value_is_named(tmp_path, row, says):
    path = _lines(tmp_path / "a.jsonl", [{"user_id": "u", "channel": "web"}, row])
    with pytest.raises(InputError, match=says) as caught:
        read_requests(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b'{"user_id": "u"}\n{"user', "line 2 is not JSON"),
        ("a.jsonl", b"[1]", "line 1 is not a JSON object"),
        ("a.jsonl", b"\xff\xfe", "not readable as JSON lines"),
        ("a.jsonl", b'{"user": "u"}', "line 1: needs a column 'user_id' or 'history'"),
        ("a.jsonl.gz", b"plain", "not readable as JSON lines"),
        ("a.parquet", b"plain", "not readable as Parquet"),
    ],
)
def test_a_bad_file_is_named(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_requests(tmp_path / name)
    assert name in str(caught.value)


def test_bad_parquet_rows_are_named(tmp_path):
    pd.DataFrame({"user_id": ["u", "v"], "k": [1, 2], "history": [["a"], [None]]}).to_parquet(
        tmp_path / "a.parquet"
    )
    with pytest.raises(InputError, match=r"a\.parquet: row 1: column 'history'"):
        read_requests(tmp_path / "a.parquet")


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_requests(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="the folder is empty"):
        read_requests(tmp_path)
    with pytest.raises(InputError, match="at least one file"):
        read_requests([])


def test_since_needs_times(tmp_path):
    path = _lines(tmp_path / "a.jsonl", [{"user_id": "u"}])
    with pytest.raises(InputError, match="since needs the time of each request, but 1"):
        read_requests(path, since=0)
