"""Files and folders that appear whole or not at all, and a lock between processes.

All that the package keeps is written here. What is being written has a hidden name beside its
place, `.NAME.tmp-PID-HOST-RANDOM`; those of writers that were killed are removed by the next one.

A folder cannot be renamed over another one, so a replacement is two renames: the old folder steps
aside to a hidden sibling, then the new one takes its name. A reader that finds nothing under the
name looks at the sibling (`current_folder`), so at no moment is there neither, and never a half.
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
    """Files under hidden names that take their places together; removed unless they do.

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
        """A binary file for the place `path`, on the disk when the block ends.

        Args:
          mode: its permissions, less the umask.

        Raises:
          InputError: something stands at `path` that is no file.
        """
        path = local_path(path, "file")
        if path.exists() and not path.is_file():
            raise InputError(f"files: only a file can be replaced by one. Received: {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path.parent, f".{path.name}.")
        self._staged[path] = temporary
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def put_in_place(self) -> None:
        """Renames each file over the one before."""
        for path, temporary in self._staged.items():
            os.replace(temporary, path)
        for folder in {path.parent for path in self._staged}:
            sync(folder)


@contextmanager
def new_file(path: str | os.PathLike, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` once the block ends without an error.

    Args:
      mode: its permissions, less the umask.

    Raises:
      OSError: the disk is full; what was at `path` is there still.

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
    """A temporary folder beside `path` that becomes `path` when the block ends without error.

    Whatever stood at `path` is replaced. After an error, or a kill at any moment,
    `current_folder` still gives the old version complete, or the new one complete.

    Raises:
      OSError: the disk is full; what was at `path` is there still.
    """
    path = Path(os.path.realpath(local_path(path, "folder")))
    with disk_errors(path, "it was not written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent, f".{path.name}.") as temporary:
            yield temporary
            sync_tree(temporary)
            _put_in_place(temporary, path)


@contextmanager
def temporary_folder(parent: Path, prefix: str = ".") -> Iterator[Path]:
    """A hidden folder in `parent` that is gone after the block, unless it was renamed.

    Args:
      prefix: of its name, before `tmp-`.
    """
    temporary = _temporary(parent, prefix)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        if temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def current_folder(path: str | os.PathLike) -> Path:
    """The folder to read for `path`: itself, or its old version if a replacement was cut off."""
    path = Path(os.path.realpath(local_path(path, "folder")))
    if not path.exists() and _previous(path).exists() and not path.exists():
        return _previous(path)
    return path


def sync(path: Path) -> None:
    """Flushes a file's or a folder's entries to the disk (folders: where the system can)."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flushes all that is in a folder, and itself."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in sorted(names):
            sync(Path(parent, name))
        sync(Path(parent))


@contextmanager
def alone(path: str | os.PathLike, busy: str | None = None) -> Iterator[None]:
    """Holds the lock that is the file `path`; a process that ends in any way gives it back.

    The file stays as it is: nothing is written to it, and a symbolic link is not followed.

    Args:
      busy: says what is the matter where another one holds it; without it, this one waits.

    Raises:
      InputError: `busy`, or `path` is a symbolic link.
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
            f"lock: must be a plain file, and a symbolic link is there; remove it. Received: {path}"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _previous(path: Path) -> Path:
    """Where the old version of a folder stands while it is being replaced."""
    return path.with_name(f".{path.name}.previous")


def _put_in_place(temporary: Path, path: Path) -> None:
    previous = _previous(path)
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


def _temporary(parent: Path, prefix: str) -> Path:
    """A hidden name in `parent` that is not taken, after those of gone writers are removed."""
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
    """Whether the writer is gone; of another machine only the age tells, as its ids say nothing."""
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
