"""Numbered version folders, written atomically."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfrec_fusion.errors import InputError
from tfrec_fusion.files import sync, sync_tree, temporary_folder
from tfrec_fusion.paths import local_path

GRAPH = "saved_model.pb"
_NUMBER = re.compile(r"\d+", re.ASCII)
_LARGEST = 2**63 - 1  # TF Serving ignores larger numbers


def versions(base: str | os.PathLike) -> dict[int, Path]:
    """Version number -> path, for each entry of `base` that TF Serving would read as a version."""
    base = local_path(base, "export")
    if not base.is_dir():
        return {}
    found = [entry for entry in sorted(base.iterdir()) if _NUMBER.fullmatch(entry.name)]
    return {int(entry.name): entry for entry in found if int(entry.name) <= _LARGEST}


def latest_version(base: str | os.PathLike) -> Path:
    """The folder of the highest version below `base`, or `base` itself if that is a version.

    Raises:
      InputError: the folder is missing or has no version, or the highest is not a SavedModel.
    """
    base = local_path(base, "export", tensorflow=True)
    if (base / GRAPH).is_file():
        return base
    if not base.is_dir():
        raise InputError(f"export: no such folder; export a model there first. Received: {base}")
    found = versions(base)
    if not found:
        raise InputError(
            f"export: {base} holds no version folder (1, 2, ...); export a model to it first"
        )
    latest = found[max(found)]
    if not (latest / GRAPH).is_file():
        raise InputError(f"export: {latest} is not a SavedModel (it has no {GRAPH})")
    return latest


def check_base(base: str | os.PathLike) -> None:
    """Checks that TF Serving could serve from the folder `base`.

    Raises:
      InputError: `base` or a folder above it is a file, a version in it is not a SavedModel, or it
        holds the largest possible version number.
    """
    base = local_path(base, "export", tensorflow=True)
    for folder in (base, *base.absolute().parents):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"export: path must be a folder, and {folder} is a file")
    present = versions(base)
    if max(present, default=0) == _LARGEST:
        raise InputError(
            f"export: {base} holds the largest possible version; move it away first. "
            f"Received: {_LARGEST}"
        )
    for path in present.values():
        empty = path.is_dir() and not any(path.iterdir())
        if not empty and not (path / GRAPH).is_file():
            raise InputError(
                f"export: {path} is not a SavedModel, and TF Serving would take it for version "
                f"{int(path.name)}; move it away, or export to another folder"
            )


@contextmanager
def new_version(base: str | os.PathLike) -> Iterator[tuple[Path, list[Path]]]:
    """Yields a folder to fill, which becomes the next version of `base` when the block ends.

    It is a hidden sibling of the versions, flushed to disk before it is renamed, so only complete
    versions exist even if the process is killed. Concurrent writers get different numbers.
    Leftovers of writers that no longer run are removed.

    Yields:
      The folder, and a list to which the path of the new version is appended at the end.
    """
    base = local_path(base, "export", tensorflow=True)
    base.mkdir(parents=True, exist_ok=True)
    result: list[Path] = []
    with temporary_folder(base) as temporary:
        folder = temporary / "version"
        folder.mkdir()
        yield folder, result
        sync_tree(folder)
        result.append(_rename(folder, base))
        sync(base)


def _rename(folder: Path, base: Path) -> Path:
    """Gives `folder` the next number. Renaming onto a folder that holds files fails, so no version
    is ever replaced."""
    number = max(versions(base), default=0) + 1
    while True:
        target = base / str(number)
        try:
            os.rename(folder, target)
            return target
        except OSError:
            if not target.exists():
                raise
            number += 1
