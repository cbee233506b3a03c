"""`models.config`: which versions TF Serving loads, and which are labelled stable and canary.

TF Serving accepts a config only if every label that moves points to a version that is already
loaded; else it keeps the old config and never loads that version. A new label may point to a
version that is not loaded yet. So a new version becomes the canary if there is none; else it is
only loaded, and `label_versions` moves the labels afterwards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from google.protobuf import json_format

from tfrec_fusion.deploy import protos
from tfrec_fusion.errors import InputError

FILE, CANARY_FILE = "models.config", "models.canary.config"
MOUNT = "/models"
STABLE, CANARY = "stable", "canary"


def next_labels(current: Mapping[str, int], present: Collection[int], new: int) -> dict[str, int]:
    """The labels after version `new` is written, chosen so that TF Serving accepts the change.

    Args:
      current: label -> version before; labels of versions that no longer exist are dropped.
      present: versions on disk, including `new`.
      new: the new version.

    Example:
      >>> next_labels({"stable": 1}, [1, 2], 2)
      {'stable': 1, 'canary': 2}
    """
    labels = {label: version for label, version in current.items() if version in present}
    if STABLE not in labels:
        labels = {STABLE: labels.get(CANARY, new), **labels}
    if CANARY not in labels and new not in labels.values():
        labels[CANARY] = new
    return labels


def model_fields(name: str, labels: Mapping[str, int], more: Collection[int] = ()) -> dict:
    """The fields of one model's `tensorflow.serving.ModelConfig`.

    Args:
      name: name of the model.
      labels: label -> version.
      more: versions to load in addition to the labelled ones.
    """
    return {
        "name": name,
        "base_path": f"{MOUNT}/{name}",
        "model_platform": "tensorflow",
        "model_version_policy": {
            "specific": {"versions": sorted({*labels.values(), *more})},
        },
        "version_labels": dict(labels),
    }


def config_text(models: list[dict], file: str = FILE) -> str:
    """The text of `tensorflow.serving.ModelServerConfig`.

    Args:
      models: fields of each model's `ModelConfig`.
      file: name of the file, for errors.

    Raises:
      InputError: a field or value that TF Serving would reject.
    """
    fields = {"model_config_list": {"config": models}}
    text = protos.text(protos.build("ModelServerConfig", fields, file))
    check_models_config(text, file)
    return text


def check_models_config(text: str, file: str = FILE) -> None:
    """Checks that TF Serving accepts the text.

    Raises:
      InputError: it does not; names the file, the model, the field and the value.
    """
    found = protos.parse("ModelServerConfig", text, file)
    models = found.model_config_list.config
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        raise InputError(f"{file}: models must have different names. Received: {names}")
    for model in models:
        where = f"{file}: model {model.name!r}:"
        if not model.name:
            raise InputError(f"{file}: name must not be empty")
        if not model.base_path.startswith("/"):
            raise InputError(f"{where} base_path must be absolute. Received: {model.base_path!r}")
        if model.model_platform != "tensorflow":
            raise InputError(
                f"{where} model_platform must be 'tensorflow'. Received: {model.model_platform!r}"
            )
        loaded = list(model.model_version_policy.specific.versions)
        for label, version in model.version_labels.items():
            if not re.fullmatch(r"[a-zA-Z0-9_]+", label):
                raise InputError(
                    f"{where} version_labels may have letters, digits and '_'. Received: {label!r}"
                )
            if loaded and version not in loaded:
                raise InputError(
                    f"{where} version_labels: {label!r} must be one of the versions {loaded} of "
                    f"model_version_policy. Received: {version}"
                )


def read_models(path: str | os.PathLike) -> dict[str, dict]:
    """Reads a config: model name -> "labels", "versions" and "fields"; {} if there is no file.

    Raises:
      InputError: TF Serving could not read the file.
    """
    path = Path(path)
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    check_models_config(text, str(path))
    found = protos.parse("ModelServerConfig", text, str(path))
    return {
        model.name: {
            "labels": dict(model.version_labels),
            "versions": list(model.model_version_policy.specific.versions),
            "fields": _plain(model),
        }
        for model in found.model_config_list.config
    }


def _plain(model) -> dict:
    return json_format.MessageToDict(model, preserving_proto_field_name=True)
