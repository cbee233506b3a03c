import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import plot

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_png_of_several_models(report_of, tmp_path):
    reports = [report_of(f"model {i}", 0.02 * i) for i in range(10)]
    path = plot(reports, tmp_path / "new" / "models.png")
    assert path.read_bytes().startswith(PNG)
    assert [p.name for p in path.parent.iterdir()] == ["models.png"]


def test_a_report_draws_itself_beside_others(report_of, tmp_path):
    path = plot([report_of(), report_of("b")], tmp_path / "a.png", metric="recall@10")
    assert path.read_bytes().startswith(PNG)


def test_without_intervals_and_at_zero(report_of, tmp_path):
    assert plot([report_of(ndcg=0.0, intervals=False)], tmp_path / "a.png").exists()


def test_bad_input(report_of, tmp_path):
    with pytest.raises(InputError, match="metric must be one of"):
        plot([report_of()], tmp_path / "a.png", metric="auc")
    with pytest.raises(InputError, match=r"\.png"):
        plot([report_of()], tmp_path / "a.jpg")
    with pytest.raises(InputError, match="at least one"):
        plot([], tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
