"""`kubernetes.yaml`: a stable and a canary track of TF Serving behind one service."""

from __future__ import annotations

from typing import Any

from tfrec_fusion.deploy import manifest
from tfrec_fusion.deploy.deployment_config import DeploymentConfig
from tfrec_fusion.deploy.memory import Footprint, memory_mib
from tfrec_fusion.deploy.models_config import CANARY, CANARY_FILE, FILE, MOUNT, STABLE
from tfrec_fusion.deploy.monitoring import PATH
from tfrec_fusion.deploy.server import (
    GRPC_PORT,
    REST_PORT,
    arguments,
    status_path,
)

KUBERNETES_FILE = "kubernetes.yaml"
_APP = "tf-serving"
_VOLUME = "saved-models"
_STARTUP_SECONDS, _PERIOD = 600, 10


def kubernetes_text(
    deployment: DeploymentConfig, models: list[str], footprint: Footprint, has_canary: bool
) -> str:
    """The YAML of a volume claim, two deployments and a service.

    The volume must hold the content of `saved_models/`. The service spreads connections over the
    pods of both tracks, so one canary pod beside two stable ones gets a third of them.

    Args:
      deployment: the options.
      models: names of all models.
      footprint: size of their versions.
      has_canary: whether any model has a canary; if not, the canary track has no pods.
    """
    gib = max(1, -(-10 * footprint.loaded // 2**30))
    documents = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": _VOLUME, "labels": {"app": _APP}},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": f"{gib}Gi"}},
            },
        },
        _deployment(deployment, STABLE, deployment.replicas, FILE, models, footprint),
        _deployment(deployment, CANARY, int(has_canary), CANARY_FILE, models, footprint),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": _APP, "labels": {"app": _APP}},
            "spec": {
                "selector": {"app": _APP},
                "ports": [
                    {"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc"},
                    {"name": "rest", "port": REST_PORT, "targetPort": "rest"},
                ],
            },
        },
    ]
    return manifest.dump(documents)


def _deployment(
    deployment: DeploymentConfig,
    track: str,
    replicas: int,
    config: str,
    models: list[str],
    footprint: Footprint,
) -> dict[str, Any]:
    labels = {"app": _APP, "track": track}
    resources = {
        "cpu": f"{round(deployment.cpus * 1000)}m",
        "memory": f"{memory_mib(deployment, footprint)}Mi",
    }
    loaded = {"httpGet": {"path": status_path(models[0]), "port": "rest"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{_APP}-{track}", "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": str(REST_PORT),
                        "prometheus.io/path": PATH,
                    },
                },
                "spec": {
                    "terminationGracePeriodSeconds": 30,
                    "containers": [
                        {
                            "name": _APP,
                            "image": deployment.image,
                            "args": arguments(deployment, config, poll=track == STABLE),
                            "ports": [
                                {"name": "grpc", "containerPort": GRPC_PORT},
                                {"name": "rest", "containerPort": REST_PORT},
                            ],
                            "startupProbe": {
                                **loaded,
                                "periodSeconds": _PERIOD,
                                "failureThreshold": _STARTUP_SECONDS // _PERIOD,
                            },
                            "readinessProbe": {**loaded, "periodSeconds": _PERIOD},
                            "livenessProbe": {
                                "tcpSocket": {"port": "grpc"},
                                "periodSeconds": _PERIOD,
                                "failureThreshold": 3,
                            },
                            "resources": {
                                "requests": resources,
                                "limits": {"memory": resources["memory"]},
                            },
                            "volumeMounts": [
                                {"name": _VOLUME, "mountPath": MOUNT, "readOnly": True}
                            ],
                        }
                    ],
                    "volumes": [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": _VOLUME}}],
                },
            },
        },
    }
