"""The models and versions that a server loads, read from TF Serving's `models.config`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfrec_fusion.deploy import protos
from tfrec_fusion.deploy.models_config import MOUNT
from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.versions import versions
from tfrec_fusion.paths import local_path


@dataclass(frozen=True)
class ModelConfig:
    """A model to serve and its version policy.

    Attributes:
      name: name of the model in requests.
      base: folder that contains its versions.
      latest: load this many of the highest versions; None selects another policy.
      specific: load these versions; if `latest` is None too, all versions are loaded.
      labels: label -> version.

    Example:
      >>> ModelConfig("shop", Path("saved_models/shop"), latest=2).wanted([1, 2, 3])
      [2, 3]
    """

    name: str
    base: Path
    latest: int | None = 1
    specific: tuple[int, ...] | None = None
    labels: Mapping[str, int] = field(default_factory=dict)

    def wanted(self, present: list[int]) -> list[int]:
        """The versions on disk that the policy selects, ascending."""
        if self.specific is not None:
            return sorted(set(self.specific) & set(present))
        present = sorted(present)
        return present if self.latest is None else present[-self.latest :]

    def present(self) -> dict[int, Path] | None:
        """Version -> folder of the versions on disk; None if the base folder is missing."""
        return versions(self.base) if self.base.is_dir() else None


def read_models(path: str | os.PathLike) -> list[ModelConfig]:
    """Reads the models of a `models.config` file.

    Raises:
      InputError: the file is missing, or TF Serving would refuse it; says why.
    """
    path = local_path(path, "serve")
    if not path.is_file():
        raise InputError(f"serve: the model config file does not exist. Received: {path}")
    message = protos.parse("ModelServerConfig", path.read_text(encoding="utf-8"), str(path))
    try:
        return models_of(message, path.absolute().parent)
    except StatusError as error:
        raise InputError(f"{path}: {error.message}") from None


def models_of(message, folder: Path | None = None) -> list[ModelConfig]:
    """Converts a `tensorflow.serving.ModelServerConfig` into `ModelConfig`s.

    Args:
      folder: folder of the config. It replaces `/models`, its mount point in TF Serving's images,
        if this machine does not have the path.

    Raises:
      StatusError: INVALID_ARGUMENT, with TF Serving's text.
    """
    if message.WhichOneof("config") == "custom_model_config":
        raise invalid("custom_model_config is not supported; give a model_config_list")
    found: dict[str, ModelConfig] = {}
    for model in message.model_config_list.config:
        if model.name in found:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        if not model.base_path.startswith("/"):
            raise invalid(
                f"Expected model {model.name} to have an absolute path or URI; got "
                f"base_path()={model.base_path}"
            )
        if not model.model_platform:
            raise invalid(
                "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                f"ModelServerConfig::model_platform, model name is {model.name}"
            )
        found[model.name] = ModelConfig(
            model.name,
            _base(model.base_path, folder),
            *_policy(model.model_version_policy),
            dict(model.version_labels),
        )
    return list(found.values())


def _base(text: str, folder: Path | None) -> Path:
    base = Path(text)
    if folder is None or base.exists() or not base.is_relative_to(MOUNT):
        return base
    return folder / base.relative_to(MOUNT)


def _policy(policy) -> tuple[int | None, tuple[int, ...] | None]:
    kind = policy.WhichOneof("policy_choice")
    if kind == "specific":
        return None, tuple(policy.specific.versions)
    if kind == "all":
        return None, None
    return max(policy.latest.num_versions, 1), None
