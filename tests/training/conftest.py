import pytest

from tfrec_fusion.training import RunConfig


@pytest.fixture
def config(small_shop):
    """A function from options to a small run's config."""

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
