"""What becomes of errors while a version is written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfrec_fusion._compat import tf


@contextmanager
def naming_the_folder(path: str | os.PathLike) -> Iterator[None]:
    """Errors of a disk that is full, or of a file that may not grow, name the folder.

    TensorFlow has errors of its own for them, and those of Python's writes name no file.

    Args:
      path: where a version was to be written.

    Raises:
      OSError: with the system's number, `path` and the reason.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise _named(errno.ENOSPC, path) from error
    except tf.errors.OutOfRangeError as error:
        raise _named(errno.EFBIG, path) from error
    except OSError as error:
        if error.filename is not None and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _named(error.errno or errno.EIO, path) from error


def _named(number: int, path: str | os.PathLike) -> OSError:
    return OSError(number, f"{os.strerror(number)}; no version was written", str(Path(path)))
