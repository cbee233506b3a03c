"""From the files to a recommendation by the four commands, as a user gives them."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.embeddings import VectorStore


def _run(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "tfrec_fusion.cli", *map(str, arguments), "--json", "-"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # TensorFlow's notes are no answer to a user.
    assert "oneDNN" not in done.stderr
    return json.loads(done.stdout)


@pytest.mark.acceptance
def test_retail_by_defaults(real_data, tmp_path):
    retail = real_data("retail")
    run = tmp_path / "run"
    _run(
        "train",
        *("--interactions", retail / "interactions.parquet", "--items", retail / "items.parquet"),
        *("--vectors", retail / "minilm_384.npy", "--out", run),
    )
    slices = _run("evaluate", run)["evaluation"]["slices"]
    # Seeds differ by .003; three of them reach .137 / .115 / .355 (test: .125 / .105 / .33).
    assert slices["total"]["metrics"]["ndcg@10"] >= 0.125
    assert slices["total"]["metrics"]["recall@20"] >= 0.105
    assert slices["cold"]["metrics"]["ndcg@10"] >= 0.33
    version = _run("export", run, "--to", tmp_path / "shop")["export"]
    assert version == str(tmp_path / "shop" / "1")
    answer = _run("recommend", tmp_path / "shop", "--user", "13085", "-k", 5)
    assert len(answer["items"]) == 5
    assert all(item["title"] for item in answer["items"])


@pytest.mark.acceptance  # a step of its own in `.ci/run`
def test_quickstart(tmp_path):
    result = _run("quickstart", "--out", tmp_path)
    assert result["data"]["synthetic"]
    names = [report["name"] for report in result["reports"]]
    assert names[:4] == ["fused", "ID-only", "text-only", "popularity"]
    ndcg = {
        report["name"]: report["slices"]["total"]["metrics"]["ndcg@10"]
        for report in result["reports"]
    }
    assert ndcg["fused"] == max(ndcg.values())
    assert len(result["recommendations"]) == 5
    assert list((tmp_path / "saved_models" / "quickstart" / "1").glob("saved_model.pb"))


@pytest.mark.acceptance
def test_quickstart_on_ratings_without_times(real_data, tmp_path):
    books = real_data("books")
    result = _run("quickstart", "--data", books, "--min-rating", 4, "--out", tmp_path)
    assert result["split"] == "random"
    ndcg = {
        report["name"]: report["slices"]["total"]["metrics"]["ndcg@10"]
        for report in result["reports"]
    }
    assert ndcg["fused"] > ndcg["popularity"]


@pytest.mark.acceptance
def test_quickstart_on_movielens_from_the_cache(real_data, tmp_path, monkeypatch):
    # Filled by hand: a test downloads nothing.
    movies, cache = real_data("movies"), tmp_path / "cache" / "tfrec-fusion"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(movies, cache / "ml-latest-small")
    ids = pd.read_parquet(movies / "items.parquet")["item_id"]
    VectorStore.write(cache / "ml-latest-small-minilm", ids, np.load(movies / "minilm_384.npy"))
    result = _run("quickstart", "--data", "movielens", "--min-rating", 4, "--out", tmp_path / "out")
    assert result["split"] == "temporal"
    assert not result["data"]["synthetic"]
    assert len(result["recommendations"]) == 5
