"""Loads, tracks and unloads the versions of one model."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.server.model_config import ModelConfig
from tfrec_fusion.server.servable import Servable

# As in TF Serving, the status lists the last versions that ended.
_REMEMBERED = 100
Files = frozenset[tuple[str, int, int]]


@dataclass(frozen=True)
class VersionState:
    """State of a version (START, LOADING, AVAILABLE, UNLOADING or END) and its error if any."""

    state: str
    error: StatusError | None = None


class ModelVersions:
    """Loads and unloads versions of a model one at a time; any thread may acquire one.

    A version that failed to load is retried once its files change. Loaded versions stay until a
    wanted version is loaded.

    Args:
      config: the model and its version policy.
      log: called with the name and the fields of each event.
      load: builds a `Servable` from name, version and folder.
    """

    def __init__(
        self,
        config: ModelConfig,
        log: Callable[..., None],
        load: Callable[[str, int, Path], Servable] = Servable,
    ):
        self.config = config
        self._log, self._load = log, load
        self._lock = threading.Lock()
        self._loaded: dict[int, Servable] = {}
        self._unloading: dict[int, Servable] = {}
        self._states: dict[int, VersionState] = {}
        self._failed: dict[int, Files] = {}
        self._seen: dict[int, Files] = {}

    def acquire(self, version: int | None) -> Servable | None:
        """Acquires a loaded version (by default the highest) or None; `release` it afterwards."""
        while True:
            loaded = self._loaded
            found = loaded.get(max(loaded, default=0) if version is None else version)
            # If it was retired meanwhile, `_loaded` is already without it.
            if found is None or found.acquire():
                return found

    @property
    def available(self) -> list[int]:
        return sorted(self._loaded)

    @property
    def unloading(self) -> bool:
        """Whether a version still waits for its last request to end."""
        return bool(self._unloading)

    @property
    def states(self) -> dict[int, VersionState]:
        """Version -> state, highest version first."""
        with self._lock:
            return dict(sorted(self._states.items(), reverse=True))

    def update(self, settle: bool = True) -> bool:
        """Loads and unloads versions to match the folder.

        Args:
          settle: load a new version only if its files have not changed since the last call, so
            that a version still being copied is not loaded.

        Returns:
          Whether nothing is left to load, to unload or to wait for.
        """
        self._finish_unloading()
        present = self.config.present()
        if present is None:
            return True
        wanted, done = self._wanted(present), True
        for version in sorted(set(wanted) - set(self._loaded), reverse=True):
            files = wanted[version]
            if settle and self._seen.get(version) != files:
                self._seen[version], done = files, False
            elif not self._load_one(version, present[version], files):
                done = False
        if set(wanted) & set(self._loaded):
            for version in set(self._loaded) - set(wanted):
                self._unload(version)
        return done and not self._unloading

    def stop(self) -> None:
        """Unloads each version after its last request."""
        for version in list(self._loaded):
            self._unload(version)

    def _wanted(self, present: dict[int, Path]) -> dict[int, Files]:
        """Wanted version -> its files, without versions that failed with their present files."""
        self._failed = {
            version: files
            for version, files in self._failed.items()
            if version in present and _files(present[version]) == files
        }
        wanted = self.config.wanted([v for v in present if v not in self._failed])
        return {v: frozenset() if v in self._loaded else _files(present[v]) for v in wanted}

    def _load_one(self, version: int, path: Path, files: Files) -> bool:
        """Loads a version; False if that failed."""
        name = self.config.name
        self._set(version, "LOADING")
        self._log("loading", model=name, version=version, path=str(path))
        try:
            servable = self._load(name, version, path)
            if _files(path) != files:
                servable.retire()
                raise StatusError("ABORTED", f"{path} changed while it was being loaded")
        except StatusError as error:
            self._fail(version, files, error)
        except Exception as error:
            self._fail(version, files, StatusError("INTERNAL", f"{type(error).__name__}: {error}"))
        else:
            with self._lock:
                self._loaded = {**self._loaded, version: servable}
                self._states[version] = VersionState("AVAILABLE")
            self._log("available", model=name, version=version)
        self._seen.pop(version, None)
        return version in self._loaded

    def _fail(self, version: int, files: Files, error: StatusError) -> None:
        self._failed[version] = files
        self._set(version, "END", error)
        self._log("refused", model=self.config.name, version=version, error=str(error))

    def _unload(self, version: int) -> None:
        with self._lock:
            servable = self._loaded[version]
            self._loaded = {v: s for v, s in self._loaded.items() if v != version}
            self._states[version] = VersionState("UNLOADING")
        self._unloading[version] = servable
        servable.retire()
        self._finish_unloading()

    def _finish_unloading(self) -> None:
        ended = [version for version, servable in self._unloading.items() if servable.closed]
        for version in ended:
            del self._unloading[version]
        if ended:
            # A graph is full of reference cycles; left to itself, Python keeps many versions.
            gc.collect()
        for version in ended:
            self._set(version, "END")
            self._log("unloaded", model=self.config.name, version=version)

    def _set(self, version: int, state: str, error: StatusError | None = None) -> None:
        with self._lock:
            self._states[version] = VersionState(state, error)
            ended = [v for v, s in self._states.items() if s.state == "END"]
            for old in sorted(ended)[:-_REMEMBERED]:
                del self._states[old]


def _files(folder: Path) -> Files:
    """Name, size and modification time of each file below a folder."""
    found = set()
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            try:
                status = os.stat(path)
            except OSError:
                continue
            found.add((os.path.relpath(path, folder), status.st_size, status.st_mtime_ns))
    return frozenset(found)
