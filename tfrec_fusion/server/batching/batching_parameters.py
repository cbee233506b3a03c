"""`batching_parameters.txt`, as the server uses it."""

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
    """How waiting requests are merged; what the file leaves out is as in TF Serving.

    Attributes:
      max_batch_size: rows of the largest batch.
      timeout: seconds that a batch waits to be filled.
      max_enqueued_batches: batches that wait for a thread, for each signature.
      threads: batches that run at once.
      allowed_sizes: rows that a batch is filled up to; any where there are none.
      pad: whether lists of different widths are merged.
    """

    max_batch_size: int = 1000
    timeout: float = 0.0
    max_enqueued_batches: int = 10
    threads: int = os.cpu_count() or 1
    allowed_sizes: tuple[int, ...] = ()
    pad: bool = False

    @classmethod
    def read(cls, path: str | os.PathLike) -> BatchingParameters:
        """Reads the text of `tensorflow.serving.BatchingParameters`.

        Raises:
          InputError: names the file, the field and the value.
        """
        path = local_path(path, "serve")
        if not path.is_file():
            raise InputError(f"serve: no such file of batching parameters. Received: {path}")
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
        """The rows that a batch of `rows` is filled up to."""
        if not self.allowed_sizes:
            return rows
        return self.allowed_sizes[bisect_left(self.allowed_sizes, rows)]
