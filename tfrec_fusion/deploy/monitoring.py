"""`monitoring.config`: the path of TF Serving's metrics for Prometheus."""

from __future__ import annotations

from tfrec_fusion.deploy import protos
from tfrec_fusion.deploy.deployment_config import DeploymentConfig
from tfrec_fusion.errors import InputError

FILE = "monitoring.config"
PATH = "/monitoring/prometheus/metrics"


def monitoring_text(deployment: DeploymentConfig) -> str:
    """The text of `tensorflow.serving.MonitoringConfig`.

    Raises:
      InputError: a field or value that TF Serving would reject.
    """
    fields = deployment.monitoring or {"prometheus_config": {"enable": True, "path": PATH}}
    text = protos.text(protos.build("MonitoringConfig", fields, FILE))
    check_monitoring(text)
    return text


def check_monitoring(text: str) -> None:
    """Checks that TF Serving accepts the text.

    Raises:
      InputError: it does not; names the file, the field and the value.
    """
    path = protos.parse("MonitoringConfig", text, FILE).prometheus_config.path
    if path and not path.startswith("/"):
        raise InputError(f"{FILE}: prometheus_config.path must start with '/'. Received: {path!r}")
