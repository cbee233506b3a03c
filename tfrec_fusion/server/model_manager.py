"""Loads and unloads all models of a server as their folders and the config change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.errors import InputError
from tfrec_fusion.server.model_config import ModelConfig, models_of, read_models
from tfrec_fusion.server.model_versions import ModelVersions, VersionState
from tfrec_fusion.server.servable import Servable


class ModelManager:
    """Finds the version for a request, and polls folders and config for changes in a thread.

    Args:
      models: the models to serve.
      config_file: read again whenever it changes.
      poll_seconds: time between two polls of the folders and the file; 0 disables polling.
      log: called with the name and the fields of each event.
      load: builds a `Servable` from name, version and folder.

    Example:
      >>> manager = ModelManager([ModelConfig("shop", Path("saved_models/shop"))])
      >>> manager.start()
      >>> with manager.servable("shop") as servable:
      ...     servable.version
      1
      >>> manager.stop()
    """

    def __init__(
        self,
        models: Sequence[ModelConfig],
        config_file: Path | None = None,
        poll_seconds: float = 1.0,
        log: Callable[..., None] = lambda event, **fields: None,
        load: Callable[[str, int, Path], Servable] = Servable,
    ):
        self._config_file, self._poll_seconds = config_file, poll_seconds
        self._log, self._load = log, load
        self._models: dict[str, ModelVersions] = {}
        self._labels: dict[str, dict[str, int]] = {}
        # Held while models change; requests do not take it.
        self._changing = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._written = self._file_state()
        self._refused: tuple[str, bytes | None] | None = None
        self._apply(models)

    def start(self) -> None:
        """Loads the wanted versions and starts polling.

        Raises:
          InputError: no version of some model can be loaded; says why.
        """
        for name, model in self._models.items():
            with self._changing:
                while not model.update(settle=False):
                    pass
            if not model.available:
                raise InputError(f"serve: {_reason(name, model)}")
        if self._poll_seconds:
            self._thread = threading.Thread(target=self._watch, name="versions", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stops polling and unloads each version after its last request."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        with self._changing:
            for model in self._models.values():
                model.stop()

    @contextmanager
    def servable(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> Iterator[Servable]:
        """Yields the requested version (by default the highest) and keeps it loaded meanwhile.

        Raises:
          StatusError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label.
        """
        if not name:
            raise invalid("ModelSpec has no name specified.")
        if label is not None:
            version = self._labels.get(name, {}).get(label)
            if version is None:
                raise invalid(f"Unrecognized servable version label: {label}")
        model = self._models.get(name)
        found = model.acquire(version) if model is not None else None
        if found is None:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise StatusError("NOT_FOUND", f"Servable not found for request: {asked}")
        try:
            yield found
        finally:
            found.release()

    def status(self, name: str, version: int | None = None) -> dict[int, VersionState]:
        """States of a model's versions, highest version first; only `version` if given.

        Raises:
          StatusError: NOT_FOUND; no such model or version.
        """
        model = self._models.get(name)
        states = {} if model is None else model.states
        if version is not None:
            if version not in states:
                raise StatusError("NOT_FOUND", f"Could not find version {version} of model {name}")
            return {version: states[version]}
        if not states:
            raise StatusError("NOT_FOUND", f"Could not find any versions of model {name}")
        return states

    def serves(self, name: str) -> bool:
        """Whether a model of this name is served."""
        return name in self._models

    @property
    def models(self) -> dict[str, ModelConfig]:
        """Name -> config of the model."""
        return {name: model.config for name, model in self._models.items()}

    @property
    def labels(self) -> dict[str, dict[str, int]]:
        """Name -> label -> version."""
        return self._labels

    def reload(self, message) -> None:
        """Applies a new `tensorflow.serving.ModelServerConfig` and loads its models.

        Raises:
          StatusError: the config is invalid; nothing changes.
        """
        if message.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
                "ModelConfigList is currently supported"
            )
        folder = None if self._config_file is None else self._config_file.absolute().parent
        with self._changing:
            self._apply(models_of(message, folder))
            for model in self._models.values():
                while not model.update(settle=False) and not model.unloading:
                    pass

    def _apply(self, models: Sequence[ModelConfig]) -> None:
        labels = {model.name: dict(model.labels) for model in models}
        self._check_labels(labels)
        known, new = self._models, {}
        for config in models:
            if config.name in known:
                new[config.name] = known[config.name]
                new[config.name].config = config
            else:
                new[config.name] = ModelVersions(config, self._log, self._load)
        self._models, self._labels = new, labels
        for name in known.keys() - new.keys():
            known[name].stop()

    def _check_labels(self, labels: Mapping[str, Mapping[str, int]]) -> None:
        """An existing label may move only to a loaded version; a new label may name any version."""
        for name, versions in labels.items():
            loaded = self._models[name].available if name in self._models else []
            for label, version in versions.items():
                before = self._labels.get(name, {}).get(label, version)
                if before != version and version not in loaded:
                    raise StatusError(
                        "FAILED_PRECONDITION",
                        f"Request to assign label to version {version} of model {name}, which is "
                        "not currently available for inference",
                    )

    def look(self) -> None:
        """Polls once: applies a changed config, and loads and unloads versions."""
        with self._changing:
            self._read_again()
            for model in self._models.values():
                model.update()

    def _watch(self) -> None:
        failing = ""
        while not self._stopped.wait(self._poll_seconds):
            try:
                self.look()
                failing = ""
            except Exception as error:  # one failure must not end the polling
                reason = f"{type(error).__name__}: {error}"
                if reason != failing:
                    self._log("watch_failed", error=reason)
                failing = reason

    def _read_again(self) -> None:
        state = self._file_state()
        if self._config_file is None or state is None or state == self._written:
            return
        try:
            self._apply(read_models(self._config_file))
        except (InputError, StatusError) as error:
            # Try again at the next poll: a label may be waiting for its version to load.
            refused = str(error), self._content()
            if refused != self._refused:
                self._log("config_refused", file=str(self._config_file), error=str(error))
            self._refused = refused
            return
        self._written, self._refused = state, None
        self._log("config_read", file=str(self._config_file))

    def _content(self) -> bytes | None:
        if self._config_file is None:
            return None
        try:
            return self._config_file.read_bytes()
        except OSError:
            return None

    def _file_state(self) -> tuple[int, int] | None:
        if self._config_file is None:
            return None
        try:
            status = self._config_file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


def _reason(name: str, model: ModelVersions) -> str:
    for version, state in model.states.items():
        if state.error is not None:
            return f"model {name!r}: version {version} cannot be loaded: {state.error}"
    return f"model {name!r}: {model.config.base} has no version to serve; export one there first"
