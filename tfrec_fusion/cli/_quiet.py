"""Starts TensorFlow without the log lines of its C++ code, and drops repeated ones of our own."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def start_tensorflow() -> None:
    """Imports TensorFlow and initializes its devices, without the log lines of the start."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    with without_notes():
        from tfrec_fusion._compat import tf

        tf.config.list_logical_devices()
    tf.get_logger().setLevel(logging.ERROR)


@contextmanager
def without_notes() -> Iterator[None]:
    """Hides what is written to standard error within the block; an exception shows it again.

    No setting silences TensorFlow's C++ code (oneDNN is on, no GPU was found), so standard error
    is redirected to a temporary file.
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


@contextmanager
def said_once(package: str) -> Iterator[None]:
    """Drops repeated log lines of a package's modules within the block.

    A command that reads its tables twice says once what it found in them.
    """
    filters = [(handler, _Once(package)) for handler in logging.getLogger().handlers]
    for handler, once in filters:
        handler.addFilter(once)
    try:
        yield
    finally:
        for handler, once in filters:
            handler.removeFilter(once)


class _Once(logging.Filter):
    """Passes each message of a package's modules once, and all others."""

    def __init__(self, package: str):
        super().__init__()
        self._package, self._said = package, set()

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(f"{self._package}."):
            return True
        message = record.getMessage()
        new = message not in self._said
        self._said.add(message)
        return new
