"""Writes deployment files: warm-up requests in a version, server configs in the folder above."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tfrec_fusion.deploy import batching, models_config, monitoring, protos
from tfrec_fusion.deploy.compose import COMPOSE_FILE, compose_text
from tfrec_fusion.deploy.deployment_config import DeploymentConfig
from tfrec_fusion.deploy.kubernetes import KUBERNETES_FILE, kubernetes_text
from tfrec_fusion.deploy.memory import Footprint
from tfrec_fusion.deploy.models_config import CANARY, STABLE
from tfrec_fusion.deploy.warmup import write_warmup
from tfrec_fusion.disk import disk_errors
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.merging import Merging
from tfrec_fusion.export.versions import new_version, versions
from tfrec_fusion.files import StagedFiles, alone
from tfrec_fusion.paths import local_path

# The first line of each file; a file without it is the user's own and is not overwritten.
HEADER = "# Written by tfrec-fusion export, which keeps the file as it is once this line is gone.\n"
_LOCK = ".deployment.lock"
_log = logging.getLogger(__name__)


@contextmanager
def new_version_with_deployment(
    base: str | os.PathLike, deployment: DeploymentConfig | bool | None
) -> Iterator[tuple[Path, list[Path]]]:
    """A `new_version` with warm-up requests, plus the server's files in the folder above `base`.

    All files are written and checked before the version gets its number; the server's files are
    put in place right after. The server sees the folder above `base` as `/models`.

    Args:
      base: folder of the model's versions.
      deployment: True is `DeploymentConfig()`, False writes no such files; None is True if the
        extra `serving` is installed, else False with a log line.

    Raises:
      InputError: TF Serving would reject a file; no version is written then.
      ImportError: a deployment is requested without the extra `serving`.
    """
    deployment = _chosen(deployment)
    if deployment is None:
        with new_version(base) as version:
            yield version
        return
    base = Path(os.path.abspath(base))
    with ExitStack() as stack:
        with new_version(base) as (folder, result):
            yield folder, result
            write_warmup(folder, deployment)
            stack.enter_context(alone(base.parent / _LOCK))
            expected = max(versions(base), default=0) + 1
            staged = stack.enter_context(_Staged.of(base, expected, folder, deployment))
        number = int(result[0].name)
        if number != expected:  # a concurrent export without deployment files took the number
            staged = stack.enter_context(_Staged.of(base, number, result[0], deployment))
        staged.put_in_place()


def merging_of(deployment: DeploymentConfig | bool | None) -> Merging | None:
    """How a version merges requests; the default if there is no deployment."""
    return (deployment if isinstance(deployment, DeploymentConfig) else DeploymentConfig()).in_graph


def label_versions(
    path: str | os.PathLike,
    *,
    stable: int,
    canary: int | None = None,
    deployment: DeploymentConfig | None = None,
) -> None:
    """Sets the labels of a model's versions, and so which versions TF Serving loads.

    A running server accepts the change only if it has loaded the versions; after an export these
    are the labelled ones and the newest. It unloads versions without a label; their files stay.

    Args:
      path: the folder given to `export`, e.g. `saved_models/shop`.
      stable: the version to serve.
      canary: the version on trial, if any.
      deployment: options of the deployment files, which are written again; default
        `DeploymentConfig()`.

    Raises:
      InputError: no such version, or the same version for both labels.

    Example:
      >>> label_versions("saved_models/shop", stable=1)
    """
    base = Path(os.path.abspath(local_path(path, "labels", tensorflow=True)))
    present = versions(base)
    if canary == stable:
        raise InputError(
            f"labels: stable and canary must be different versions; omit canary if there is no "
            f"trial. Received: {stable} for both"
        )
    labels = {STABLE: stable} | ({} if canary is None else {CANARY: canary})
    for label, version in labels.items():
        if version not in present:
            raise InputError(
                f"labels: {label} must be a version of {base}, one of {sorted(present)}. "
                f"Received: {version!r}"
            )
    with (
        disk_errors(base, "the labels are unchanged"),
        alone(base.parent / _LOCK),
        _Staged(base.parent, deployment or DeploymentConfig(), {base.name: labels}) as staged,
    ):
        staged.put_in_place()


class _Staged:
    """The server's files under temporary names, complete and flushed; removed unless put in place.

    Args:
      root: the folder of the models; the caller holds its lock.
      labels: model -> labels that replace those in the current config.
      more: model -> versions to load in addition to the labelled ones.
      staged: (model, version) -> folder of a version that is not in place below `root` yet.
    """

    def __init__(
        self,
        root: Path,
        deployment: DeploymentConfig,
        labels: dict[str, dict[str, int]],
        more: dict[str, list[int]] | None = None,
        staged: dict[tuple[str, int], Path] | None = None,
    ):
        models = _models(root, labels, more or {})
        footprint = Footprint.of(
            (staged or {}).get((name, int(version)), root / name / str(version))
            for name, fields in models.items()
            for version in fields["model_version_policy"]["specific"]["versions"]
        )
        has_canary = any(CANARY in fields["version_labels"] for fields in models.values())
        names = sorted(models)
        texts = {
            models_config.FILE: models_config.config_text(list(models.values())),
            models_config.CANARY_FILE: models_config.config_text(
                [_canary(fields) for fields in models.values()], models_config.CANARY_FILE
            ),
            monitoring.FILE: monitoring.monitoring_text(deployment),
            COMPOSE_FILE: compose_text(deployment, names, footprint),
            KUBERNETES_FILE: kubernetes_text(deployment, names, footprint, has_canary),
        }
        if deployment.merging == "session":
            texts[batching.FILE] = batching.batching_text(deployment)
        self._files = StagedFiles()
        try:
            for name, text in texts.items():
                self._stage(root / name, text)
        except BaseException:
            self.__exit__()
            raise

    @classmethod
    def of(cls, base: Path, number: int, folder: Path, deployment: DeploymentConfig) -> _Staged:
        """The files for `base` with the new version `number`, which is complete in `folder`."""
        current = _present(base.parent)
        current_labels = current.get(base.name, {}).get("labels", {})
        present = {*versions(base), number}
        labels = models_config.next_labels(current_labels, present, number)
        more = {base.name: [number]}
        return cls(
            base.parent, deployment, {base.name: labels}, more, {(base.name, number): folder}
        )

    def __enter__(self) -> _Staged:
        return self

    def __exit__(self, *_) -> None:
        self._files.__exit__()

    def put_in_place(self) -> None:
        """Replaces the current files by renames."""
        self._files.put_in_place()

    def _stage(self, target: Path, text: str) -> None:
        if _is_own(target):
            _log.warning("export: %s is your own file and is not overwritten", target)
            return
        with self._files.open(target) as file:
            file.write((HEADER + text).encode())


def _chosen(deployment: DeploymentConfig | bool | None) -> DeploymentConfig | None:
    if deployment is None:
        if protos.present():
            return DeploymentConfig()
        _log.warning(
            "export: warm-up requests and files for TF Serving are not written; they need "
            '`pip install "tfrec-fusion[serving]"`'
        )
        return None
    if deployment is False:
        return None
    protos.message("ModelServerConfig")  # raises ImportError before anything is written
    deployment = DeploymentConfig() if deployment is True else deployment
    if deployment.batching and deployment.merging != "session":
        raise InputError(
            "export: deployment.batching configures TF Serving's own batching; set "
            "merging='session' or omit batching. "
            f"Received: merging={deployment.merging!r}, batching={deployment.batching}"
        )
    return deployment


def _models(
    root: Path, labels: dict[str, dict[str, int]], more: dict[str, list[int]]
) -> dict[str, dict]:
    """Model -> fields of its config: the current ones, with the given labels for some models."""
    found = {name: model["fields"] for name, model in _present(root).items()}
    for name, own in labels.items():
        found[name] = models_config.model_fields(name, own, more.get(name, ()))
    for fields in found.values():
        fields.setdefault("version_labels", {})
        fields["version_labels"] = {
            label: int(version) for label, version in fields["version_labels"].items()
        }
    return dict(sorted(found.items()))


def _present(root: Path) -> dict[str, dict]:
    """`read_models` of the current config; {} if that is the user's own."""
    path = root / models_config.FILE
    return {} if _is_own(path) else models_config.read_models(path)


def _is_own(path: Path) -> bool:
    """Whether the file exists and is the user's own (it lacks the header)."""
    if not path.exists():
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline() != HEADER


def _canary(fields: dict) -> dict:
    """The fields for a server of canaries only, which serves them under both labels."""
    labels = fields["version_labels"]
    if not labels:
        return fields
    version = labels.get(CANARY, max(labels.values()))
    return models_config.model_fields(fields["name"], {STABLE: version, CANARY: version})
