"""`docker-compose.yml`: runs TF Serving's official image on the exports."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tfrec_fusion.deploy import manifest
from tfrec_fusion.deploy.deployment_config import DeploymentConfig
from tfrec_fusion.deploy.memory import Footprint, memory_mib
from tfrec_fusion.deploy.models_config import CANARY_FILE, FILE, MOUNT
from tfrec_fusion.deploy.server import (
    GRPC_PORT,
    REST_PORT,
    arguments,
    check_arguments,
    status_path,
)

COMPOSE_FILE = "docker-compose.yml"
_CANARY_OFFSET = 10


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Healthcheck(_Strict):
    test: list[str] = Field(min_length=2)
    interval: str
    timeout: str
    retries: int
    start_period: str


class _Service(_Strict):
    image: str = Field(min_length=1)
    command: list[str]
    ports: list[str] = Field(min_length=2)
    volumes: list[str] = Field(min_length=1)
    healthcheck: _Healthcheck
    restart: str
    stop_grace_period: str
    mem_limit: str = Field(pattern=r"\d+m")
    cpus: float = Field(gt=0)
    profiles: list[str] = []


class _Compose(_Strict):
    services: dict[str, _Service] = Field(min_length=1)


def compose_text(deployment: DeploymentConfig, models: list[str], footprint: Footprint) -> str:
    """The YAML of a service for all labels and, in the profile `canary`, one for canaries only.

    Args:
      deployment: the options.
      models: names of all models.
      footprint: size of their versions.
    """

    def service(config: str, offset: int, poll: bool) -> dict[str, Any]:
        return {
            "image": deployment.image,
            "command": arguments(deployment, config, poll),
            "ports": [f"{port + offset}:{port}" for port in (GRPC_PORT, REST_PORT)],
            "volumes": [f".:{MOUNT}:ro"],
            "healthcheck": {
                "test": ["CMD", "bash", "-c", _probe(models[0])],
                "interval": "10s",
                "timeout": "5s",
                "retries": 3,
                "start_period": "300s",
            },
            "restart": "unless-stopped",
            "stop_grace_period": "30s",
            "mem_limit": f"{memory_mib(deployment, footprint)}m",
            "cpus": deployment.cpus,
        }

    canary = {**service(CANARY_FILE, _CANARY_OFFSET, False), "profiles": ["canary"]}
    text = manifest.dump([{"services": {"serving": service(FILE, 0, True), "canary": canary}}])
    check_compose(text)
    return text


def check_compose(text: str) -> None:
    """Checks that Docker Compose and the model server accept keys, types and flags.

    Raises:
      InputError: they do not; names the file, the key and the value.
    """
    (document,) = manifest.load(text, COMPOSE_FILE)
    compose = manifest.checked(_Compose, document, COMPOSE_FILE)
    for name, service in compose.services.items():
        check_arguments(service.command, COMPOSE_FILE, f"services.{name}.command")


def _probe(model: str) -> str:
    """A health check in bash that requests a model's metadata; the image has no curl."""
    return (
        f"exec 3<>/dev/tcp/127.0.0.1/{REST_PORT} && "
        f"printf 'GET {status_path(model).replace('%', '%%')} HTTP/1.0\\r\\n\\r\\n' >&3 && "
        "head -1 <&3 | grep -q ' 200 '"
    )
