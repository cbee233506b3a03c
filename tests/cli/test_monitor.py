import json

import pandas as pd
import pytest

from tfrec_fusion.cli import main
from tfrec_fusion.export import Recommender


@pytest.fixture(scope="module")
def version(trained):
    return trained.parent / "export"


@pytest.fixture(scope="module")
def log(version, trained, tmp_path_factory):
    """A log of what two users get, a few seconds apart."""
    shop = Recommender(version)
    rows = []
    for number, user in enumerate(["u1", "u2", "u1"]):
        best = shop.recommend(user, k=5)
        rows.append(
            {
                "time": f"2026-11-22T08:00:{number:02d}Z",
                "user_id": user,
                "k": 5,
                "item_ids": [item for item, _ in best],
                "scores": [score for _, score in best],
            }
        )
    path = tmp_path_factory.mktemp("log") / "requests.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_fine(version, log, tmp_path, capsys):
    out, logdir = tmp_path / "report.txt", tmp_path / "logs"
    options = ["--out", str(out), "--logdir", str(logdir), "--json", str(tmp_path / "a.json")]
    assert main(["monitor", str(version), "--requests", str(log), *options]) == 0
    printed = capsys.readouterr().out
    assert "3 requests, 2026-11-22T08:00:00+00:00 to 2026-11-22T08:00:02+00:00" in printed
    assert "state: few" in printed
    assert "unknown_users" in out.read_text() and "state: few" in out.read_text()
    assert list(logdir.iterdir())
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["state"] == "few"
    assert found["figures"]["unknown_users"]["value"] == 0
    assert found["figures"]["requests_per_second"]["value"] == 1.5
    assert found["figures"]["history_psi"]["value"] is None


def test_an_alert_ends_with_3(version, log, tmp_path, capsys):
    strangers = tmp_path / "strangers.parquet"
    pd.DataFrame({"user_id": ["a", "b", "u1"]}).to_parquet(strangers)
    both = ["--requests", str(log), "--requests", str(strangers)]
    few = ["monitor", str(version), *both, "--min-rows", "2"]
    quiet = [
        option
        for name in ("score", "best_score", "answered_popularity")
        for kind in ("psi", "ks", "shift")
        if name != "answered_popularity" or kind == "psi"
        for option in ("--limit", f"{name}_{kind}=100")
    ]
    # Two of six users are unknown: more than the warning's .2, less than the alert's .5.
    assert main([*few, *quiet]) == 0
    assert "state: warn" in capsys.readouterr().out
    assert main([*few, *quiet, "--limit", "unknown_users=0.3"]) == 3
    assert "state: alert" in capsys.readouterr().out


def test_since(version, log, capsys):
    arguments = ["monitor", str(version), "--requests", str(log), "--json", "-"]
    assert main([*arguments, "--since", "2026-11-22T08:00:01"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2
    assert main([*arguments, "--since", "1m"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--since", "soon"], "--since: must be a time like"),
        (["--limit", "psi=1"], "unknown figure 'psi'"),
        (["--requests", "nowhere.jsonl"], "no such file"),
    ],
)
def test_mistakes_end_with_2(version, log, options, says, capsys):
    assert main(["monitor", str(version), "--requests", str(log), *options]) == 2
    assert says in capsys.readouterr().err
