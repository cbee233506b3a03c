import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]


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
