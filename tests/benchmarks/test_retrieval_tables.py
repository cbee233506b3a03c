import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
MACHINE = {"cpu": "a cpu", "cores": 2, "memory_gb": 4, "python": "3.11", "versions": {"numpy": "2"}}


@pytest.fixture
def row(retrieval, tmp_path):
    """A function that makes a row of runs by hand."""

    def make(name, *users, data="retail", group="classic", score=None, recall=0.25, **more):
        runs = []
        for seed, values in enumerate(users):
            path = tmp_path / f"{data}-{name}-{seed}.npz"
            np.savez(path, **{"ndcg@10": np.array(values)})
            figures = dict.fromkeys(retrieval.cells.COLUMNS)
            figures |= {"NDCG@10": float(np.mean(values)), "Recall@20": recall}
            run = {"figures": figures, "seconds": 1.5 + seed, "peak_mb": 1000.0, "note": ""}
            runs.append({**run, "users": str(path), "machine": MACHINE, **more})
        setting = {"model": {"kind": "ease", "l2": 200, "vectors": ["text", "words"], "dims": None}}
        known = {"data": data, "row": name, "group": group, "setting": setting, "NDCG@10": score}
        return {**known, "tried": [setting] * 3, "runs": runs}

    return make


def test_the_reference_is_the_classic_row_that_validation_finds_best(retrieval, row):
    rows = [
        row("EASE", [0.5, 0.25], score=0.1),
        row("item-kNN", [0.9, 0.9], score=0.05),  # better on the test events alone
        row("TwoTower", [0.75, 0.5], [1.0, 0.75], group="trained", score=0.9),
    ]
    ease, knn, tower = retrieval.tables.compared(rows)
    assert ease["reference"] == knn["reference"] == tower["reference"] == "EASE"
    assert ease["difference"] is None
    # The means of the two seeds are .875 and .625: .375 above EASE for each user.
    assert (tower["difference"], tower["low"], tower["high"]) == (0.375, 0.375, 0.375)
    # .4 and .65 above, so every resample lies between.
    assert knn["difference"] == pytest.approx(0.525)
    assert (knn["low"], knn["high"]) == pytest.approx((0.4, 0.65))


def test_there_is_no_reference_without_a_classic_row(retrieval, row):
    (found,) = retrieval.tables.compared([row("TwoTower", [0.5], group="trained")])
    assert (found["reference"], found["difference"]) == (None, None)
    assert retrieval.tables.against(found) == ""


def test_a_table_has_means_deviations_and_costs(retrieval, row):
    rows = [row("EASE", [0.5, 0.25], score=0.1)]
    rows.append(row("TwoTower", [0.75, 0.5], [1.0, 0.75], group="trained"))
    lines = retrieval.tables.markdown(retrieval.tables.compared(rows)).splitlines()
    assert lines[2] == "| EASE | .375 | .250 |  |  |  |  | reference | 1.5 | 1,000 | 3 |"
    # Means .625 and .875: .750, with a standard deviation of .25 / 2^.5 = .177.
    tower = "| TwoTower | .750 ± .177 | .250 ± .000 |  |  |  |  | +0.3750 [+0.3750, +0.3750] | "
    assert lines[3] == tower + "2 | 1,000 | 3 |"
    assert lines[0].count("|") == lines[1].count("|") == lines[3].count("|")


def test_settings_are_told_in_words(retrieval, row):
    text = retrieval.tables.settings([row("EASE", [0.5], score=0.125, note="a note")])
    assert text.splitlines()[-1] == ("| EASE | ease, l2 200, vectors text + words; a note | .125 |")


def test_published_figures_are_a_table_of_their_own(retrieval, row):
    figures = {"recall@10": 0.1044, "ndcg@10, history ranked": 0.0561}
    text = retrieval.tables.published([row("EASE", [0.5], published=figures)])
    assert text.splitlines()[0] == "| model | Recall@10 | NDCG@10, history ranked |"
    assert text.splitlines()[2] == "| EASE | .104 | .056 |"
    assert retrieval.tables.published([row("EASE", [0.5])]) == ""


def test_the_compact_table_has_a_column_for_each_data_set(retrieval, row):
    rows = [
        row("EASE", [0.5, 0.25], recall=0.125),
        row("TwoTower", [0.5], [0.75], group="trained"),
        row("EASE", [0.25], data="books"),
        row("SparseEASE", [0.25], data="books"),
        row("EASE", [0.25], data="movies, graded"),
    ]
    assert retrieval.tables.compact(rows).splitlines() == [
        "| model | retail | books |",
        "| --- | ---: | ---: |",
        "| EASE | .375 / .125 | .250 / .250 |",
        "| TwoTower | .625 / .250 |  |",
    ]


def test_the_page_keeps_the_data_sets_that_were_not_run(retrieval, row, tmp_path):
    page, compared = tmp_path / "results.md", retrieval.tables.compared
    retrieval.page.write_page(compared([row("EASE", [0.5], score=0.1)]), page)
    retrieval.page.write_page(compared([row("EASE", [0.25], data="movies", score=0.1)]), page)
    text = page.read_text()
    assert text.count("# Which model wins where\n") == 1
    assert text.index("| EASE | .500 | ") < text.index("## movies") < text.index("| EASE | .250 | ")
    assert "a cpu, 2 cores, 4 GiB; Python 3.11, numpy 2." in text
    for line in retrieval.data.TASKS["movies"].protocol:
        assert f"{line}\n" in text
    retrieval.page.write_page(compared([row("EASE", [0.75], score=0.1)]), page)
    assert "| EASE | .500 | " not in page.read_text()
    assert "| EASE | .250 | " in page.read_text()


def test_the_readme_has_one_place_for_the_table(retrieval, row, tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    readme = tmp_path / "README.md"
    readme.write_text(text, encoding="utf-8")
    rows = [row("EASE", [0.5]), row("TwoTower", [0.5], [0.75], group="trained")]
    retrieval.page.write_readme(rows, readme)
    new = readme.read_text(encoding="utf-8")
    begin, end = "<!-- quality table -->\n", "<!-- end of quality table -->"
    assert new.split(begin)[0] == text.split(begin)[0]
    assert new.split(end)[1] == text.split(end)[1]
    written = new.split(begin)[1].split(end)[0]
    assert "| TwoTower | .625 / .250 |" in written
    assert "up to 2 seeds" in written
    assert "| EASE | .500 / .250 |" in written


def test_json_has_the_rows_without_places(retrieval, row, tmp_path):
    path = tmp_path / "rows.json"
    retrieval.page.write_json(retrieval.tables.compared([row("EASE", [0.5], score=0.1)]), path)
    (found,) = json.loads(path.read_text())
    assert {"data", "row", "group", "setting", "tried", "runs", "reference", "low"} <= set(found)
    assert "users" not in found["runs"][0]
    assert found["runs"][0]["figures"]["NDCG@10"] == 0.5
