import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
# example -> the data set that it is run on, None for the shipped sample
DATA = {"shop": None, "feed": None, "retail": "retail", "books": "books", "cold_start": "retail"}
DATA["blend"] = "retail"
DATA |= {"features": "coat", "next_item": "beauty", "ratings": "movies", "search": "retail"}


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(name, marks=pytest.mark.acceptance if data else pytest.mark.slow)
        for name, data in DATA.items()
    ],
)
def test_an_example_runs(example, real_data, tmp_path):
    arguments = [] if DATA[example] is None else [str(real_data(DATA[example]))]
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{example}.py"), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "ndcg@10" in done.stdout.lower()


def test_every_example_is_run_and_short():
    found = {path.stem: path.read_text().count("\n") for path in EXAMPLES.glob("*.py")}
    assert set(found) == set(DATA)
    assert max(found.values()) < 60
