import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def retrieval():
    """The modules of benchmarks/retrieval.py, and benchmarks/auto.py."""
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    import auto
    import retrieval
    from retrievals import cells, data, page, rows, runs, tables

    sys.path.remove(folder)
    return SimpleNamespace(
        script=retrieval,
        auto=auto,
        cells=cells,
        data=data,
        page=page,
        rows=rows,
        runs=runs,
        tables=tables,
    )


@pytest.fixture
def tables_of_retail(tmp_path, monkeypatch, retrieval):
    """A folder with tables in the form of retail's, found by this process and its workers."""
    root = tmp_path / "data"
    folder = root / "retail"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    ids = [f"i{row}" for row in range(40)]
    words = ("red", "blue", "mug", "lamp", "bag", "clock")
    text = [" ".join(rng.choice(words, 2, replace=False)) for _ in ids]
    pd.DataFrame({"item_id": ids, "text": text}).to_parquet(folder / "items.parquet")
    day = np.sort(rng.uniform(0, 200, 1500))
    pd.DataFrame(
        {
            "user_id": [f"u{row}" for row in rng.integers(0, 60, 1500)],
            "item_id": [ids[row] for row in (40 * rng.random(1500) ** 2).astype(int)],
            "timestamp": 1.7e9 + day * 86_400,
        }
    ).to_parquet(folder / "interactions.parquet")
    np.save(folder / "minilm_384.npy", rng.normal(size=(40, 384)).astype(np.float16))
    monkeypatch.setenv("TFREC_FUSION_DATA", str(root))
    monkeypatch.setattr(retrieval.data, "DATA", root)
    return folder
