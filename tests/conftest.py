import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

_ROOT = Path(__file__).parents[1]
pytest_plugins = ["few_events", "featured", "shop_exports", "blended", "stacked"]


@pytest.fixture(scope="session")
def real_data():
    """`real_data("retail")` is that data set's folder; where it is absent the test skips.

    The folders are looked for under TFREC_FUSION_DATA, or else in ../shared/data beside the
    repository. They are described in the data's own README and are never committed.
    """

    def folder(name: str) -> Path:
        root = Path(os.environ.get("TFREC_FUSION_DATA") or _ROOT.parent / "shared" / "data")
        path = root / name
        if not (path / "interactions.parquet").is_file():
            pytest.skip(f"the data set {name!r} is not in {root}; set TFREC_FUSION_DATA")
        return path

    return folder


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory):
    """A folder with the tables and vectors of 30 items and 40 users with 900 timed purchases."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    ids = [f"i{row}" for row in range(30)]
    items = pd.DataFrame({"item_id": ids, "title": [f"thing\t{row}" for row in range(30)]})
    items.to_parquet(folder / "items.parquet")
    # Items 25 to 29 come late, so that a temporal split has cold ones.
    day = np.sort(rng.uniform(0, 120, 900))
    item = np.where(day < 112, rng.integers(0, 25, 900), rng.integers(15, 30, 900))
    pd.DataFrame(
        {
            "user_id": [f"u{row}" for row in rng.integers(0, 40, 900)],
            "item_id": [ids[row] for row in item],
            "timestamp": 1.7e9 + day * 86_400,
            "rating": rng.integers(1, 6, 900).astype(float),
        }
    ).to_parquet(folder / "interactions.parquet")
    np.save(folder / "text.npy", rng.normal(size=(30, 8)).astype(np.float32))
    return folder


@pytest.fixture
def config(small_shop):
    """A function from options to a small run's config."""

    from tfrec_fusion.training import RunConfig

    def make(**options):
        values = {
            "data": {
                "interactions": str(small_shop / "interactions.parquet"),
                "items": str(small_shop / "items.parquet"),
                "vectors": {"text": str(small_shop / "text.npy")},
            },
            "model": {"dim": 8, "trend_hidden": 4},
            "batch_size": 16,
            "epochs": 2,
        }
        return RunConfig.of(values | options)

    return make
