"""Error messages for full or failing disks."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# The disk or quota is full, the file is too large, or the disk is read-only or failing.
_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


@contextmanager
def disk_errors(path: str | os.PathLike, then: str) -> Iterator[None]:
    """Converts disk errors (full, read-only, failing) into an OSError that names the path.

    TensorFlow raises its own errors for them, and Python's write errors do not name the file.

    Args:
      path: path of the file or folder being written.
      then: state of the files and what to do, for the message.

    Raises:
      OSError: with the system's error number, `path` and the reason.
    """
    try:
        yield
    except Exception as error:
        number = disk_error(error)
        if number is None:
            raise
        raise OSError(number, f"{os.strerror(number)}; {then}", os.fspath(path)) from error


def disk_error(error: BaseException) -> int | None:
    """Returns the system's error number of a disk error; None for other errors."""
    if isinstance(error, OSError):
        return error.errno if error.errno in _NUMBERS else None
    tensorflow: Any = sys.modules.get("tensorflow")
    if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
        return None
    texts = {os.strerror(number): number for number in _NUMBERS}
    return next((texts[text] for text in texts if text in str(error)), None)
