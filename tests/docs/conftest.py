import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

import tfrec_fusion as tff
from tfrec_fusion._compat import keras, tf
from tfrec_fusion.embeddings import VectorStore

CONFIG = {
    "data": {
        "interactions": "interactions.parquet",
        "items": "items.parquet",
        "vectors": {"text": "vectors/minilm"},
    },
    "model": {"dim": 8, "trend_hidden": 4},
    "epochs": 1,
}
REQUESTS = [
    {"time": 1_795_400_000, "user_id": "u17", "item_ids": ["i3", "i4"], "scores": [2.0, 1.0]},
    {"time": 1_795_400_001, "user_id": "a new visitor", "history": ["i5"], "k": 3},
]


@pytest.fixture(scope="session")
def shop_files(small_shop, tmp_path_factory):
    """A folder with what the examples read: tables, a vector store and a run's config."""
    folder = tmp_path_factory.mktemp("docs") / "shop"
    shutil.copytree(small_shop, folder)
    ids = pd.read_parquet(folder / "items.parquet")["item_id"]
    VectorStore.write(folder / "vectors/minilm", ids, np.load(folder / "text.npy"), encoder="words")
    (folder / "shop.yaml").write_text(yaml.safe_dump(CONFIG))
    lines = "".join(json.dumps(request) + "\n" for request in REQUESTS)
    (folder / "logs").mkdir()
    (folder / "logs/2026-11-22.jsonl").write_text(lines)
    return folder


@pytest.fixture(scope="session")
def trained_shop(shop_files):
    """The names that an example may use without defining them."""
    shop = tff.data.Catalogue.from_parquet(
        shop_files / "items.parquet", vectors={"text": shop_files / "vectors/minilm"}
    )
    events = tff.data.Interactions.from_parquet(
        shop_files / "interactions.parquet", shop, duplicates="first"
    )
    split = events.split("temporal", test=0.2)
    batches = split.train.batches(512)
    model = tff.models.TwoTower(split.train, dim=8, trend_hidden=4)
    model.compile(optimizer=tff.optimizers.adam(3e-3, steps=len(batches)))
    model.fit(batches, verbose=0)
    own = {"shop": shop, "events": events, "split": split, "batches": batches, "model": model}
    return {"tff": tff, "np": np, "pd": pd, "sparse": sparse, "keras": keras, "tf": tf, **own}


@pytest.fixture
def shop_names(trained_shop):
    """The names, with the model compiled as it was trained."""
    model = trained_shop["model"]
    optimizer = model.optimizer
    yield dict(trained_shop)
    if model.optimizer is not optimizer:
        model.compile(optimizer=optimizer)


@pytest.fixture
def in_shop(shop_files, tmp_path, monkeypatch):
    """The working directory is a copy of the shop's folder."""
    folder = tmp_path / "shop"
    shutil.copytree(shop_files, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def exported_shop(trained_shop, tmp_path_factory):
    """A folder with one version, exported from the model."""
    base = tmp_path_factory.mktemp("docs_export") / "shop"
    tff.export.export(trained_shop["model"], trained_shop["events"], base, deployment=False)
    return base
