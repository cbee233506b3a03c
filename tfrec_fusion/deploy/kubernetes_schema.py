"""The parts of Kubernetes' objects that the manifest uses, typed; any other field is refused."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_QUANTITY = r"^\d+(m|Mi|Gi)?$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class _Metadata(_Part):
    name: str = Field(pattern=_NAME)
    labels: dict[str, str]


class _PodMetadata(_Part):
    labels: dict[str, str] = Field(min_length=1)
    annotations: dict[str, str] = {}


class _HttpGet(_Part):
    path: str = Field(pattern="^/")
    port: str


class _TcpSocket(_Part):
    port: str


class _Probe(_Part):
    http_get: _HttpGet | None = None
    tcp_socket: _TcpSocket | None = None
    period_seconds: int = Field(gt=0)
    failure_threshold: int = Field(3, gt=0)


class _ContainerPort(_Part):
    name: str = Field(pattern=_NAME, max_length=15)
    container_port: int = Field(gt=0, lt=65536)


class _Quantities(_Part):
    cpu: str | None = Field(None, pattern=_QUANTITY)
    memory: str = Field(pattern=_QUANTITY)


class _Resources(_Part):
    requests: _Quantities
    limits: _Quantities


class _Mount(_Part):
    name: str
    mount_path: str = Field(pattern="^/")
    read_only: bool


class _Container(_Part):
    name: str = Field(pattern=_NAME)
    image: str = Field(min_length=1)
    args: list[str]
    ports: list[_ContainerPort] = Field(min_length=1)
    startup_probe: _Probe
    readiness_probe: _Probe
    liveness_probe: _Probe
    resources: _Resources
    volume_mounts: list[_Mount]


class _Claim(_Part):
    claim_name: str = Field(pattern=_NAME)


class _Volume(_Part):
    name: str = Field(pattern=_NAME)
    persistent_volume_claim: _Claim


class _PodSpec(_Part):
    termination_grace_period_seconds: int = Field(ge=0)
    containers: list[_Container] = Field(min_length=1)
    volumes: list[_Volume]


class _Template(_Part):
    metadata: _PodMetadata
    spec: _PodSpec


class _Selector(_Part):
    match_labels: dict[str, str] = Field(min_length=1)


class _DeploymentSpec(_Part):
    replicas: int = Field(ge=0)
    selector: _Selector
    strategy: dict[str, Any]
    template: _Template


class Deployment(_Part):
    """A Deployment of apps/v1."""

    api_version: Literal["apps/v1"]
    kind: Literal["Deployment"]
    metadata: _Metadata
    spec: _DeploymentSpec


class _ServicePort(_Part):
    name: str = Field(pattern=_NAME)
    port: int = Field(gt=0, lt=65536)
    target_port: str


class _ServiceSpec(_Part):
    selector: dict[str, str] = Field(min_length=1)
    ports: list[_ServicePort] = Field(min_length=1)


class _Service(_Part):
    api_version: Literal["v1"]
    kind: Literal["Service"]
    metadata: _Metadata
    spec: _ServiceSpec


class _Storage(_Part):
    storage: str = Field(pattern=_QUANTITY)


class _StorageRequests(_Part):
    requests: _Storage


class _ClaimSpec(_Part):
    access_modes: list[Literal["ReadWriteMany", "ReadOnlyMany", "ReadWriteOnce"]] = Field(
        min_length=1
    )
    resources: _StorageRequests


class _PersistentVolumeClaim(_Part):
    api_version: Literal["v1"]
    kind: Literal["PersistentVolumeClaim"]
    metadata: _Metadata
    spec: _ClaimSpec


SCHEMAS: dict[str, type[BaseModel]] = {
    "Deployment": Deployment,
    "PersistentVolumeClaim": _PersistentVolumeClaim,
    "Service": _Service,
}
"""Kind -> its schema."""
