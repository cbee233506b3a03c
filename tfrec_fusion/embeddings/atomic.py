"""Folders that appear, or change, as a whole.

A folder cannot be renamed over another one, so a replacement is two renames: the old folder steps
aside to a hidden sibling, then the new one takes its name. A reader that finds nothing under the
name looks at the sibling (`current_folder`), so at no moment is there neither, and never a half.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LEFTOVER_SECONDS = 24 * 3600.0


def previous_folder(path: Path) -> Path:
    """Where the old version of ``path`` stands while it is being replaced."""
    return path.with_name(f".{path.name}.previous")


def current_folder(path: str | os.PathLike) -> Path:
    """The folder to read for ``path``: itself, or its old version if a replacement was cut off."""
    path = Path(os.path.realpath(path))
    if not path.exists() and previous_folder(path).exists() and not path.exists():
        return previous_folder(path)
    return path


def sync(path: Path) -> None:
    """Flush a file's or a folder's entries to the disk (folders: where the system can)."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary folder beside ``path`` that becomes ``path`` when the block ends without error.

    Whatever stood at ``path`` is replaced. After an error, or a kill at any moment,
    `current_folder` still gives the old version complete, or the new one complete.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.tmp-", dir=path.parent))
    try:
        os.chmod(temporary, 0o777 & ~_umask())
        yield temporary
        for file in sorted(temporary.iterdir()):
            sync(file)
        sync(temporary)
        _put_in_place(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _put_in_place(temporary: Path, path: Path) -> None:
    previous = previous_folder(path)
    if not path.exists():
        os.replace(temporary, path)
    else:
        # A complete folder stands at `path`: what an earlier replacement set aside is obsolete.
        shutil.rmtree(previous, ignore_errors=True)
        os.replace(path, previous)
        try:
            os.replace(temporary, path)
        except BaseException:
            os.replace(previous, path)
            raise
    sync(path.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _remove_leftovers(path: Path) -> None:
    """Temporary folders of writers that were killed; a live writer's is never a day old."""
    for folder in path.parent.glob(f".{path.name}.tmp-*"):
        if time.time() - folder.stat().st_mtime > _LEFTOVER_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
