"""What becomes of errors while files are written."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# A disk, a quota or a file's size is used up, the disk is read-only or fails.
_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


@contextmanager
def disk_errors(path: str | os.PathLike, then: str) -> Iterator[None]:
    """Errors of a disk that is full, or of a file that may not grow, name the path.

    TensorFlow has errors of its own for them, and those of Python's writes name no file.

    Args:
      path: what was to be written.
      then: what is left and what to do, in words.

    Raises:
      OSError: with the system's number, `path` and the reason.
    """
    try:
        yield
    except Exception as error:
        number = disk_error(error)
        if number is None:
            raise
        raise OSError(number, f"{os.strerror(number)}; {then}", os.fspath(path)) from error


def disk_error(error: BaseException) -> int | None:
    """The system's number of an error that the disk has caused; None for others."""
    if isinstance(error, OSError):
        return error.errno if error.errno in _NUMBERS else None
    tensorflow: Any = sys.modules.get("tensorflow")
    if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
        return None
    texts = {os.strerror(number): number for number in _NUMBERS}
    return next((texts[text] for text in texts if text in str(error)), None)
