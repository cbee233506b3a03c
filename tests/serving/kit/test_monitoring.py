import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.serving import Kit
from tfrec_fusion.serving.kit import protos
from tfrec_fusion.serving.kit.monitoring import PATH, monitoring_text


def test_prometheus_is_on():
    found = protos.parse("MonitoringConfig", monitoring_text(Kit()), "")
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
        monitoring_text(Kit(monitoring=fields))
