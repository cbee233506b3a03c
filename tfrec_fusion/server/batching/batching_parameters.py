"""Batching parameters of the server, read from TF Serving's `batching_parameters.txt`."""

from __future__ import annotations

import os
from bisect import bisect_left
from dataclasses import dataclass

from tfrec_fusion.deploy import protos
from tfrec_fusion.deploy.batching import check_batching
from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path


@dataclass(frozen=True)
class BatchingParameters:
    """How waiting requests are merged; the defaults are TF Serving's.

    Attributes:
      max_batch_size: maximum rows of a batch.
      timeout: seconds that a batch waits for more requests.
      max_enqueued_batches: maximum batches of each signature that wait for a thread.
      threads: batches that run at once.
      allowed_sizes: row counts to which batches are padded; empty for no padding.
      pad: pad lists of different widths so that their requests can be merged.
    """

    max_batch_size: int = 1000
    timeout: float = 0.0
    max_enqueued_batches: int = 10
    threads: int = os.cpu_count() or 1
    allowed_sizes: tuple[int, ...] = ()
    pad: bool = False

    @classmethod
    def read(cls, path: str | os.PathLike) -> BatchingParameters:
        """Reads a `tensorflow.serving.BatchingParameters` message in text format.

        Raises:
          InputError: names the file, the field and the value.
        """
        path = local_path(path, "serve")
        if not path.is_file():
            raise InputError(f"serve: the batching file does not exist. Received: {path}")
        text = path.read_text(encoding="utf-8")
        check_batching(text)
        found = protos.parse("BatchingParameters", text, str(path))
        given = {
            "max_batch_size": found.max_batch_size.value,
            "timeout": found.batch_timeout_micros.value / 1e6,
            "max_enqueued_batches": found.max_enqueued_batches.value,
            "threads": found.num_batch_threads.value,
        }
        fields = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches")
        present = [found.HasField(name) for name in (*fields, "num_batch_threads")]
        given = {name: given[name] for name, here in zip(given, present, strict=True) if here}
        return cls(
            **given,
            allowed_sizes=tuple(found.allowed_batch_sizes),
            pad=found.pad_variable_length_inputs,
        )

    def size_of(self, rows: int) -> int:
        """The number of rows to which a batch of `rows` is padded."""
        if not self.allowed_sizes:
            return rows
        return self.allowed_sizes[bisect_left(self.allowed_sizes, rows)]
