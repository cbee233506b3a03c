import pytest

from tfrec_fusion.deploy import Kit


@pytest.fixture(scope="session")
def kit():
    """The options of a kit; the test skips without the extra that it takes."""
    pytest.importorskip("tensorflow_serving", reason='needs ".[serving]"')
    return Kit(batch_sizes=(1, 3))
