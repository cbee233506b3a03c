"""`kubernetes.yaml`: a stable and a canary track of TF Serving behind one service."""

from __future__ import annotations

from typing import Any

from tfrec_fusion.deploy import manifest
from tfrec_fusion.deploy.kubernetes_schema import SCHEMAS, Deployment
from tfrec_fusion.deploy.memory import Footprint, memory_mib
from tfrec_fusion.deploy.models_config import CANARY, CANARY_FILE, FILE, MOUNT, STABLE
from tfrec_fusion.deploy.monitoring import PATH
from tfrec_fusion.deploy.options import Kit
from tfrec_fusion.deploy.server import (
    GRPC_PORT,
    REST_PORT,
    arguments,
    check_arguments,
    status_path,
)
from tfrec_fusion.errors import InputError

KUBERNETES_FILE = "kubernetes.yaml"
_APP = "tf-serving"
_VOLUME = "saved-models"
_STARTUP_SECONDS, _PERIOD = 600, 10


def kubernetes_text(kit: Kit, models: list[str], footprint: Footprint, has_canary: bool) -> str:
    """The YAML of a volume claim, two deployments and a service.

    The volume holds what `saved_models/` holds. The service sends to the pods of both tracks alike,
    so one canary pod beside two stable ones gets a third of the connections.

    Args:
      models: names of all models.
      footprint: of their versions.
      has_canary: whether any model has a canary; without one that track has no pods.
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
        _deployment(kit, STABLE, kit.replicas, FILE, models, footprint),
        _deployment(kit, CANARY, int(has_canary), CANARY_FILE, models, footprint),
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
    text = manifest.dump(documents)
    check_kubernetes(text)
    return text


def check_kubernetes(text: str) -> None:
    """Refuses missing, unknown and mistyped fields, and what does not fit together.

    Raises:
      InputError: names the file, the object, the field and the value.
    """
    for document in manifest.load(text, KUBERNETES_FILE):
        kind = document.get("kind") if isinstance(document, dict) else document
        if kind not in SCHEMAS:
            raise InputError(
                f"{KUBERNETES_FILE}: kind must be one of {list(SCHEMAS)}. Received: {kind!r}"
            )
        name = f"{KUBERNETES_FILE}: {kind}"
        checked = manifest.checked(SCHEMAS[kind], document, name)
        if isinstance(checked, Deployment):
            _check_deployment(checked, name)


def _check_deployment(found: Deployment, name: str) -> None:
    labels = found.spec.template.metadata.labels
    selector = found.spec.selector.match_labels
    if not selector.items() <= labels.items():
        raise InputError(
            f"{name}: spec.selector.matchLabels must be among the template's labels, {labels}. "
            f"Received: {selector}"
        )
    volumes = [volume.name for volume in found.spec.template.spec.volumes]
    for container in found.spec.template.spec.containers:
        check_arguments(container.args, name, "args")
        ports = [port.name for port in container.ports]
        for probe in (container.startup_probe, container.readiness_probe, container.liveness_probe):
            action = probe.http_get or probe.tcp_socket
            if action is None or action.port not in ports:
                raise InputError(
                    f"{name}: a probe's port must be one of {ports}. "
                    f"Received: {action and action.port!r}"
                )
        for mount in container.volume_mounts:
            if mount.name not in volumes:
                raise InputError(
                    f"{name}: volumeMounts.name must be one of {volumes}. Received: {mount.name!r}"
                )


def _deployment(
    kit: Kit, track: str, replicas: int, config: str, models: list[str], footprint: Footprint
) -> dict[str, Any]:
    labels = {"app": _APP, "track": track}
    resources = {"cpu": f"{round(kit.cpus * 1000)}m", "memory": f"{memory_mib(kit, footprint)}Mi"}
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
                            "image": kit.image,
                            "args": arguments(kit, config, poll=track == STABLE),
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
