"""Features of items and users from the command line: train, go on, evaluate, export, recommend."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from tfrec_fusion.cli import main
from tfrec_fusion.embeddings import VectorStore
from tfrec_fusion.export import Recommender
from tfrec_fusion.training import Run

FEATURES = {
    "item": [{"kind": "tags", "column": "sort", "separator": "|"}],
    "user": [
        {"kind": "category", "column": "country"},
        {"kind": "number", "column": "age", "scale": "quantile", "bins": 3},
        {"kind": "vectors", "column": "bio", "most": 2},
    ],
}


@pytest.fixture(scope="module")
def tables(small_shop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    items = pd.read_parquet(small_shop / "items.parquet")
    items.assign(sort=["a|b", "b", ""] * 10).to_parquet(folder / "items.parquet")
    # Three more users than have events.
    users = pd.DataFrame({"who": [f"u{row}" for row in range(43)]})
    users["country"] = ["de", "fr"] * 21 + ["de"]
    users["age"] = np.arange(43)
    users.to_csv(folder / "users.csv", index=False)
    np.save(folder / "bio.npy", np.random.default_rng(0).normal(size=(43, 3)))
    config = {
        "model": {"dim": 8, "trend_hidden": 4, "features": FEATURES},
        "data": {"user_columns": {"user_id": "who"}},
        "batch_size": 16,
        "epochs": 1,
    }
    (folder / "shop.yaml").write_text(yaml.safe_dump(config))
    return folder


def _train(tables, small_shop, run, *more):
    files = ["--interactions", str(small_shop / "interactions.parquet")]
    files += ["--items", str(tables / "items.parquet"), "--users", str(tables / "users.csv")]
    files += ["--user-vectors", f"bio={tables / 'bio.npy'}"]
    return main(["train", *files, "--config", str(tables / "shop.yaml"), "--out", str(run), *more])


@pytest.mark.slow
def test_a_run_with_features(tables, small_shop, tmp_path, capsys):
    run = tmp_path / "run"
    assert _train(tables, small_shop, run) == 0
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["users"] == str(tables / "users.csv")
    assert set(config["recorded"]["inputs"]) == {
        *("interactions", "items", "users"),
        "user_vectors.bio",
    }
    assert main(["train", "--out", str(run)]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert main(["export", str(run), "--to", str(tmp_path / "shop"), "--no-deployment"]) == 0
    spec = Run.open(run).model().spec
    assert [one.column for one in spec.user_side.features] == ["country", "age", "bio"]
    assert spec.item_side.features[0].values == ("b", "a")
    shop = Recommender(tmp_path / "shop")
    # u42 is only in the table of users.
    assert "u42" in (shop.path / "assets/users.txt").read_text().split()
    assert len(shop.recommend("u42", k=3)) == 3
    # The run and its export answer alike, and another table of users may be given.
    found = tmp_path / "found.json"
    assert main(["recommend", str(run), "--user", "u42", "-k", "3", "--json", str(found)]) == 0
    answer = json.loads(found.read_text())
    assert answer["unknown"] == {}
    assert [one["item_id"] for one in answer["items"]] == [i for i, _ in shop.recommend("u42", k=3)]
    assert main(["evaluate", str(run), "--history", "0"]) == 0
    users = pd.read_csv(tables / "users.csv")
    pd.concat([users, users[-1:].assign(who="new")]).to_csv(tmp_path / "more.csv", index=False)
    more = ["--users", str(tmp_path / "more.csv"), "--no-deployment"]
    assert main(["export", str(run), "--to", str(tmp_path / "shop"), *more]) == 2
    assert "users: 'bio': vectors: must have one row per id" in capsys.readouterr().err
    np.save(tmp_path / "more.npy", np.ones((44, 3)))
    more += ["--user-vectors", f"bio={tmp_path / 'more.npy'}"]
    assert main(["export", str(run), "--to", str(tmp_path / "shop"), *more]) == 0
    assert "new" in (tmp_path / "shop/2/assets/users.txt").read_text().split()


@pytest.mark.slow
def test_a_table_of_users_that_changed_is_refused(tables, small_shop, tmp_path, capsys):
    run = tmp_path / "run"
    assert _train(tables, small_shop, run, "--epochs", "1") == 0
    users = pd.read_csv(tables / "users.csv")
    users.iloc[:-1].to_csv(tables / "users.csv", index=False)
    try:
        assert main(["evaluate", str(run)]) == 2
    finally:
        users.to_csv(tables / "users.csv", index=False)
    assert "users: the content has changed since the run started" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("feature", "says"),
    [
        ({"kind": "bin", "column": "sort"}, "model.features.item.0.kind: must be one of category,"),
        ({"kind": "tags", "colum": "sort"}, "model.features.item.0.colum: unknown key; the keys"),
        ({"kind": "tags", "column": "sort", "most": 0}, "model.features.item.0.most: Input should"),
    ],
)
def test_a_mistake_in_a_config_is_named_at_its_key(
    tables, small_shop, tmp_path, capsys, feature, says
):
    config = {"model": {"features": {"item": [feature]}}}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(config))
    more = ["--config", str(tmp_path / "bad.yaml")]
    files = ["--interactions", str(small_shop / "interactions.parquet")]
    files += ["--items", str(tables / "items.parquet"), "--out", str(tmp_path / "run")]
    assert main(["train", *files, *more]) == 2
    assert says in capsys.readouterr().err


def test_vectors_of_users_need_their_table(tables, small_shop, tmp_path, capsys):
    files = ["--interactions", str(small_shop / "interactions.parquet")]
    files += ["--items", str(tables / "items.parquet"), "--out", str(tmp_path / "run")]
    assert main(["train", *files, "--user-vectors", f"bio={tables / 'bio.npy'}"]) == 2
    assert "data.user_vectors: vectors of users need a table of users" in capsys.readouterr().err


def test_a_column_that_is_missing_is_one_line(tables, small_shop, tmp_path, capsys):
    users = pd.read_csv(tables / "users.csv").drop(columns="age")
    users.to_csv(tmp_path / "users.csv", index=False)
    more = ["--users", str(tmp_path / "users.csv")]
    assert _train(tables, small_shop, tmp_path / "run", *more) == 2
    error = capsys.readouterr().err
    assert "users: 1 columns of the declared features are missing: age" in error
    assert "Traceback" not in error


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["two_tower", "ranker"])
def test_a_run_with_a_context(small_shop, kind, tmp_path, capsys):
    events = pd.read_parquet(small_shop / "interactions.parquet")
    events["device"] = np.where(np.arange(len(events)) % 3, "tv", "phone")
    events.to_parquet(tmp_path / "events.parquet")
    context = [
        {"kind": "category", "column": "device"},
        {"kind": "time", "column": "timestamp", "parts": ["hour", "weekday"]},
    ]
    config = {
        "model": {"kind": kind, "dim": 4, "features": {"context": context}},
        "batch_size": 16,
        "epochs": 1,
    }
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(config))
    files = ["--interactions", str(tmp_path / "events.parquet")]
    files += ["--items", str(small_shop / "items.parquet"), "--config", str(tmp_path / "shop.yaml")]
    run, shop = tmp_path / "run", tmp_path / "shop"
    assert main(["train", *files, "--out", str(run)]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert main(["export", str(run), "--to", str(shop), "--no-deployment"]) == 0
    card = json.loads((shop / "1" / "model_card.json").read_text())
    assert card["features"] == ["device", "time"]
    assert card["choices"] == {"device": ["tv", "phone"]}
    if kind == "two_tower":
        assert len(Recommender(shop).recommend("u3", k=3, features={"device": "tv"})) == 3
        capsys.readouterr()
        config["examples"] = {"kind": "autoencoder"}
        (tmp_path / "shop.yaml").write_text(yaml.safe_dump(config))
        assert main(["train", *files, "--out", str(tmp_path / "other")]) != 0
        said = capsys.readouterr().err
        assert "no 'context_categories'" in said and "Traceback" not in said


@pytest.mark.slow
def test_a_run_with_vectors_of_events(small_shop, tmp_path, capsys):
    events = pd.read_parquet(small_shop / "interactions.parquet")
    events["review_id"] = [f"r{row}" if row % 2 else None for row in range(len(events))]
    events.to_parquet(tmp_path / "events.parquet")
    texts = np.random.default_rng(0).normal(size=(len(events), 3)).astype(np.float32)
    VectorStore.write(tmp_path / "reviews", [f"r{row}" for row in range(len(events))], texts)
    declared = {"event": [{"kind": "vectors", "column": "review", "most": 2}]}
    config = {"model": {"dim": 4, "features": declared}, "batch_size": 16, "epochs": 1}
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(config))
    run, shop = str(tmp_path / "run"), ["--to", str(tmp_path / "shop"), "--no-deployment"]
    tables = ["--interactions", str(tmp_path / "events.parquet")]
    files = [*tables, "--items", str(small_shop / "items.parquet"), "--out", run]
    files += ["--config", str(tmp_path / "shop.yaml")]
    vectors = ["--event-vectors", f"review={tmp_path / 'reviews'}"]
    assert main(["train", *files]) == 2
    assert "columns of the declared features are missing: review" in capsys.readouterr().err
    assert main(["train", *files, *vectors, "--overwrite"]) == 0
    saved = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert saved["data"]["event_vectors"] == {"review": str(tmp_path / "reviews")}
    assert "event_vectors.review" in saved["recorded"]["inputs"]
    assert main(["export", run, *shop]) == 0
    assert main(["export", run, *shop, *vectors]) == 2
    assert "--event-vectors needs --interactions" in capsys.readouterr().err
    assert main(["export", run, *shop, "--refresh-trend", *tables, *vectors]) == 0
    assert len(Recommender(tmp_path / "shop").recommend("u1", k=3)) == 3
