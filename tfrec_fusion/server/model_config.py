"""Which models and versions a server loads: `models.config` as it is read here."""

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
    """A model to serve.

    Attributes:
      name: what it is called in requests.
      base: the folder of its versions.
      latest: how many of the highest versions are loaded; None where another policy holds.
      specific: the versions to load; None and `latest` None load all of them.
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
        """Those of the versions on the disk that are to be loaded, ascending."""
        if self.specific is not None:
            return sorted(set(self.specific) & set(present))
        present = sorted(present)
        return present if self.latest is None else present[-self.latest :]

    def present(self) -> dict[int, Path] | None:
        """Version -> folder; None where the base is not there, so nothing is known."""
        return versions(self.base) if self.base.is_dir() else None


def read_models(path: str | os.PathLike) -> list[ModelConfig]:
    """The models of a `models.config`.

    Raises:
      InputError: names the file and what TF Serving would refuse in it.
    """
    path = local_path(path, "serve")
    if not path.is_file():
        raise InputError(f"serve: no such file of models. Received: {path}")
    message = protos.parse("ModelServerConfig", path.read_text(encoding="utf-8"), str(path))
    try:
        return models_of(message, path.absolute().parent)
    except StatusError as error:
        raise InputError(f"{path}: {error.message}") from None


def models_of(message, folder: Path | None = None) -> list[ModelConfig]:
    """The models of a `tensorflow.serving.ModelServerConfig`.

    Args:
      folder: stands for `/models`, where the images of TF Serving see the folder of the config, if
        this machine has no such folder.

    Raises:
      StatusError: INVALID_ARGUMENT, in TF Serving's words.
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
