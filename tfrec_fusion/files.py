"""Atomic writes of files and folders, and a lock between processes.

All files of the package are written here. A writer uses a hidden temporary name beside the target,
`.NAME.tmp-PID-HOST-RANDOM`; the next writer removes the temporary files of killed writers.

A folder cannot be renamed over another one, so a replacement takes two renames: the old folder to a
hidden sibling, then the new one to the final name. A reader that does not find the name reads the
sibling (`current_folder`), so a complete version exists at every moment.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tfrec_fusion.disk import disk_errors
from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path

_WRITER = re.compile(r"(?P<pid>\d+)-(?P<host>.+)-[^-]+", re.ASCII)
_LEFTOVER_SECONDS = 24 * 3600.0


class StagedFiles:
    """Writes several files under hidden names, then renames them; removes them after an error.

    Example:
      >>> with StagedFiles() as staged:
      ...     for name in ("a.json", "b.json"):
      ...         with staged.open(name) as file:
      ...             size = file.write(b"{}")
      ...     staged.put_in_place()
    """

    def __init__(self):
        self._staged: dict[Path, Path] = {}

    def __enter__(self) -> StagedFiles:
        return self

    def __exit__(self, *_) -> None:
        for temporary in self._staged.values():
            temporary.unlink(missing_ok=True)

    @contextmanager
    def open(self, path: str | os.PathLike, mode: int = 0o666) -> Iterator[BinaryIO]:
        """Opens a staged binary file for `path`, flushed to disk when the block ends.

        Args:
          path: final path of the file.
          mode: permissions, before the umask.

        Raises:
          InputError: `path` exists and is not a file.
        """
        path = local_path(path, "file")
        if path.exists() and not path.is_file():
            raise InputError(f"files: the path exists and is not a file. Received: {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path.parent, f".{path.name}.")
        self._staged[path] = temporary
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def put_in_place(self) -> None:
        """Renames each staged file to its final path, replacing an old file."""
        for path, temporary in self._staged.items():
            os.replace(temporary, path)
        for folder in {path.parent for path in self._staged}:
            sync(folder)


def check_new_file(path: str | os.PathLike, name: str) -> None:
    """Raises InputError if no file can be written at a path; missing folders are created then.

    Args:
      path: path of the file.
      name: what the file is, for error messages.
    """
    path = local_path(path, name).absolute()
    if path.exists() and not path.is_file():
        raise InputError(f"{name}: the path exists and is not a file. Received: {path}")
    there = next(folder for folder in path.parents if folder.exists())
    if not there.is_dir():
        raise InputError(f"{name}: {there} is not a folder; pass another path. Received: {path}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{name}: {there} cannot be written; pass another path. Received: {path}")


@contextmanager
def new_file(path: str | os.PathLike, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Opens a binary file that replaces `path` if the block ends without an error.

    Args:
      path: final path of the file.
      mode: permissions, before the umask.

    Raises:
      OSError: the disk is full; the old file at `path` remains.

    Example:
      >>> with new_file("report.json") as file:
      ...     file.write(b"{}")
      2
    """
    with disk_errors(path, "it was not written"), StagedFiles() as staged:
        with staged.open(path, mode) as file:
            yield file
        staged.put_in_place()


@contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Creates a temporary folder that replaces `path` if the block ends without an error.

    After an error, or a kill at any moment, `current_folder` returns either the complete old
    version or the complete new one.

    Raises:
      InputError: there is a file at `path`.
      OSError: the disk is full; the old folder at `path` remains.
    """
    path = Path(os.path.realpath(local_path(path, "folder")))
    if path.is_file():
        raise InputError(
            f"folder: must be a folder or a new path, but a file is there. Received: {path}"
        )
    with disk_errors(path, "it was not written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent, f".{path.name}.") as temporary:
            yield temporary
            sync_tree(temporary)
            _put_in_place(temporary, path)


@contextmanager
def temporary_folder(parent: Path, prefix: str = ".") -> Iterator[Path]:
    """Creates a hidden folder in `parent`, removed after the block unless it was renamed.

    Args:
      parent: folder to create it in.
      prefix: prefix of its name, before `tmp-`.
    """
    temporary = _temporary(parent, prefix)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        if temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def current_folder(path: str | os.PathLike) -> Path:
    """Returns the folder to read: `path`, or its old version if a replacement was interrupted."""
    path = Path(os.path.realpath(local_path(path, "folder")))
    if not path.exists() and _previous(path).exists() and not path.exists():
        return _previous(path)
    return path


def sync(path: Path) -> None:
    """Flushes a file, or a folder's entries where the system supports it, to disk."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flushes a folder and everything in it to disk."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in sorted(names):
            sync(Path(parent, name))
        sync(Path(parent))


@contextmanager
def alone(path: str | os.PathLike, busy: str | None = None) -> Iterator[None]:
    """Holds a lock on the file `path`; the system releases it when the process ends.

    It does not write to the file and does not follow a symbolic link.

    Args:
      path: path of the lock file.
      busy: error message if another process holds the lock; None to wait for it.

    Raises:
      InputError: another process holds the lock and `busy` is given, or `path` is a symbolic link.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=-1 if busy is None else 0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{busy}. Received: {path} in use") from None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InputError(
            f"lock: must be a plain file, not a symbolic link; remove it. Received: {path}"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _previous(path: Path) -> Path:
    """Returns the hidden path of a folder's old version during a replacement."""
    return path.with_name(f".{path.name}.previous")


def _put_in_place(temporary: Path, path: Path) -> None:
    previous = _previous(path)
    if not path.exists():
        os.replace(temporary, path)
    else:
        # `path` is complete, so the old version of an interrupted replacement is obsolete.
        shutil.rmtree(previous, ignore_errors=True)
        os.replace(path, previous)
        try:
            os.replace(temporary, path)
        except BaseException:
            os.replace(previous, path)
            raise
    sync(path.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _temporary(parent: Path, prefix: str) -> Path:
    """Returns an unused hidden name in `parent`, and removes leftovers of dead writers."""
    prefix += "tmp-"
    for path in [path for path in parent.iterdir() if path.name.startswith(prefix)]:
        writer = _WRITER.fullmatch(path.name.removeprefix(prefix))
        if writer is not None and _is_left(path, writer):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    return parent / f"{prefix}{os.getpid()}-{_host()}-{uuid.uuid4().hex[:12]}"


def _is_left(path: Path, writer: re.Match) -> bool:
    """Whether the writer is dead; for another machine, whose pids mean nothing here, by age."""
    try:
        old = time.time() - path.lstat().st_mtime > _LEFTOVER_SECONDS
    except FileNotFoundError:
        return False
    return old or (writer["host"] == _host() and not _alive(int(writer["pid"])))


def _host() -> str:
    return re.sub(r"[^\w.]", "_", socket.gethostname(), flags=re.ASCII) or "host"


def _alive(pid: int) -> bool:
    if os.name == "nt":  # os.kill would end the process there
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
