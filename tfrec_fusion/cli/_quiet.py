"""TensorFlow without the notes of its C++."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def start_tensorflow() -> None:
    """Imports TensorFlow and looks for devices, without the notes of its start."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    with without_notes():
        from tfrec_fusion._compat import tf

        tf.config.list_logical_devices()
    tf.get_logger().setLevel(logging.ERROR)


@contextmanager
def without_notes() -> Iterator[None]:
    """Drops what is written to standard error meanwhile; after an error it is shown.

    No setting silences what TensorFlow's C++ says (that oneDNN is on, that there is no GPU), so
    standard error is kept in a file while it comes.
    """
    sys.stderr.flush()
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(standard_error, notes.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
