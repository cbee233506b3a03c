import json

import pytest
from rich.table import Table

from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import Report


def test_per_user_is_the_totals(report_of):
    report = report_of()
    assert report.per_user["ndcg@10"].tolist() == [0.25] * 4
    assert report.users.tolist() == [0, 1, 2, 3]


def test_the_printed_table(report_of):
    text = str(report_of("fused"))
    lines = [" ".join(line.replace("│", " ").split()) for line in text.splitlines()]
    assert lines[0] == "fused, temporal split"
    assert "users 4 0" in lines
    assert "targets 1,234 0" in lines
    assert "ndcg@10 0.2500 0.2000 - 0.3000 -" in lines
    assert "coverage@10 0.0625" in lines
    assert isinstance(report_of().table(), Table)


def test_the_table_without_intervals(report_of):
    assert "95 %" not in str(report_of(intervals=False))


def test_repr_is_one_line(report_of):
    assert repr(report_of()) == "<Report 'model' ndcg@10=0.2500>"


def test_json_is_strict_and_complete(report_of):
    found = json.loads(json.dumps(report_of().to_dict(), allow_nan=False))
    assert found["slices"]["total"] == {
        "users": 4,
        "targets": 1234,
        "metrics": {
            "ndcg@10": 0.25,
            "recall@10": 0.5,
            "hr@10": 0.75,
            "mrr@10": 0.125,
            "coverage@10": 0.0625,
        },
        "intervals": {"ndcg@10": [0.2, 0.3]},
    }
    assert found["slices"]["cold"]["metrics"]["ndcg@10"] is None
    assert (found["name"], found["split"], found["k"]) == ("model", "temporal", [10])


def test_save_replaces_a_file_whole(report_of, tmp_path):
    path = tmp_path / "new" / "report.json"
    report_of("first").save(path)
    report_of("second").save(str(path))
    assert json.loads(path.read_text(encoding="utf-8"))["name"] == "second"
    assert [p.name for p in path.parent.iterdir()] == ["report.json"]


def test_a_failed_save_keeps_the_old_file(report_of, tmp_path, monkeypatch):
    path = report_of("first").save(tmp_path / "report.json")
    monkeypatch.setattr(Report, "to_dict", lambda self: {"name": object()})
    with pytest.raises(TypeError):
        report_of("second").save(path)
    assert json.loads(path.read_text())["name"] == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_another_ending_is_refused(report_of, tmp_path):
    with pytest.raises(InputError, match=r"\.json"):
        report_of().save(tmp_path / "report.txt")
