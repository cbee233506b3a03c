"""TensorFlow without the notes of its start."""

from __future__ import annotations

import logging
import os
import sys
import tempfile


def start_tensorflow() -> None:
    """Imports TensorFlow and looks for devices, and drops what its C++ says meanwhile.

    No setting silences those notes (that oneDNN is on, that there is no GPU), so standard error is
    kept in a file while they come; it is shown if the start fails.
    """
    logging.getLogger("absl").setLevel(logging.ERROR)
    sys.stderr.flush()
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            from tfrec_fusion._compat import tf

            tf.config.list_logical_devices()
        except BaseException:
            notes.seek(0)
            os.write(standard_error, notes.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
    tf.get_logger().setLevel(logging.ERROR)
