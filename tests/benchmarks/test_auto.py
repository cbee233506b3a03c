import json

import numpy as np
import pytest

from tfrec_fusion.training import auto_compositions, choosing


@pytest.fixture
def split(retrieval, tables_of_retail, tmp_path):
    return retrieval.auto.read("retail", None, tmp_path)


def test_a_sample_of_users_has_five_events_an_item(retrieval, split):
    found = retrieval.auto.varied(split, "5", seed=0)
    counts, before = found.train.item_counts(), split.train.item_counts()
    share = 5 * np.count_nonzero(before) / before.sum()
    assert 0.7 * share < counts.sum() / before.sum() < 1.3 * share
    # Users are kept whole, in training and in the test.
    users = np.unique(found.train.user)
    assert counts.sum() == np.isin(split.train.user, users).sum()
    assert set(np.unique(found.test.user)) <= set(users)


def test_the_most_popular_items_have_a_hundred_events_in_the_mean(retrieval, split):
    found = retrieval.auto.varied(split, "100", seed=0)
    counts = found.train.item_counts()
    kept = counts > 0
    assert counts[kept].mean() >= 100 or kept.sum() == 1
    assert counts[kept].min() >= split.train.item_counts()[~kept].max()
    assert kept[found.test.item].all()


def test_noise_replaces_the_vectors(retrieval, split):
    before = {name: store.values for name, store in split.train.catalogue.vectors.items()}
    found = retrieval.auto.varied(split, "noise", seed=0)
    assert found.test.catalogue is found.train.catalogue
    assert set(found.train.catalogue.vectors) == set(before) == {"text", "words"}
    for name, store in found.train.catalogue.vectors.items():
        assert store.values.shape == before[name].shape
        assert abs(np.asarray(store.values).mean()) < 0.1
        assert abs(np.asarray(store.values) - before[name]).mean() > 0.5


def test_finished_rows_are_kept(retrieval, tables_of_retail, tmp_path, monkeypatch, capsys):
    few = {"popular": {"model": {"kind": "popularity"}}, "kNN": {"model": {"kind": "item_knn"}}}
    monkeypatch.setattr(choosing, "default_candidates", lambda train, kind: few)
    monkeypatch.setattr(auto_compositions, "_FOLDS", 1)
    words = ["auto.py", "--folder", str(tmp_path / "kept"), "--data", "retail", "--seeds", "0"]
    monkeypatch.setattr("sys.argv", words)
    retrieval.auto.main()
    (row,) = json.loads((tmp_path / "kept" / "rows.json").read_text())
    assert row["chosen"] in row["validation"] and row["runner-up"]["name"] in few
    assert row["runner-up"]["name"] != row["chosen"]
    first = capsys.readouterr().out
    assert f"retail, whole, seed 0: {row['chosen']}: NDCG@10 " in first
    monkeypatch.setattr(retrieval.auto, "measured", None)  # nothing is measured again
    retrieval.auto.main()
    assert capsys.readouterr().out == first
