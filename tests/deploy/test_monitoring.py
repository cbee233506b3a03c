import pytest

from tfrec_fusion.deploy import DeploymentConfig, protos
from tfrec_fusion.deploy.monitoring import PATH, monitoring_text
from tfrec_fusion.errors import InputError


def test_prometheus_is_on():
    found = protos.parse("MonitoringConfig", monitoring_text(DeploymentConfig()), "")
    assert found.prometheus_config.enable
    assert found.prometheus_config.path == PATH


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"prometheus": {}}, 'no field named "prometheus"'),
        ({"prometheus_config": {"path": "metrics"}}, "path must start with '/'"),
        ({"prometheus_config": {"enable": 3}}, "enable"),
    ],
)
def test_what_tf_serving_would_refuse(fields, says):
    with pytest.raises(InputError, match=rf"monitoring\.config: .*{says}"):
        monitoring_text(DeploymentConfig(monitoring=fields))
