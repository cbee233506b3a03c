import pytest

from tfrec_fusion.deploy import DeploymentConfig


@pytest.fixture(scope="session")
def deployment():
    """A `DeploymentConfig`; the test skips without the extra that it takes."""
    pytest.importorskip("tensorflow_serving", reason='needs ".[serving]"')
    return DeploymentConfig(batch_sizes=(1, 3))
