"""Batches concurrent requests into one run, inside the graph of an export."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.merging import Merging

MOST_COLUMNS = 256
"""A request with wider lists or a wider answer runs alone, as the merged ones get its width."""

_NO_NUMBER = str(np.float32("nan").view(np.int32))
# Replaces separators in requested texts. Being invalid UTF-8, it occurs in no text of the export.
_UNKNOWN = b"\xff"


class Merged(tf.Module):
    """Calls a row-wise function once for the rows of concurrent calls, from any signature.

    Shapes are checked before, and the function can answer every row, so no call can make another
    one fail.

    Args:
      function: from name -> `[B]` to name -> `[B, ...]` tensors, row by row.
      inputs: name -> spec of `[B]`.
      merging: batch size, threads and queue length.
    """

    def __init__(self, function: Callable, inputs: Mapping[str, tf.TensorSpec], merging: Merging):
        super().__init__(name="merged")
        self._names, self._merging = list(inputs), merging

        def positional(*values):
            return function(dict(zip(inputs, values, strict=True)))

        self._function = tf.function(positional, autograph=False).get_concrete_function(
            *inputs.values()
        )
        # Exports in one process share the threads, but each has its own queue.
        self._queue = uuid.uuid4().hex
        self._threads = f"tfrec_fusion_{merging.rows}_{merging.threads}_{merging.waiting}"

    def __call__(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        outputs = tf.raw_ops.BatchFunction(
            in_tensors=[inputs[name] for name in self._names],
            captured_tensors=self._function.captured_inputs,
            f=self._function,
            num_batch_threads=self._merging.threads,
            max_batch_size=self._merging.rows,
            batch_timeout_micros=0,
            max_enqueued_batches=self._merging.waiting,
            shared_name=self._threads,
            batching_queue=self._queue,
            Tout=[output.dtype for output in self._function.outputs],
        )
        for output, known in zip(outputs, self._function.outputs, strict=True):
            output.set_shape(known.shape)
        return tf.nest.pack_sequence_as(self._function.structured_outputs, outputs)


def separator(known: Iterable[str] = ()) -> str:
    """Returns a character that no known text holds, to join lists of them.

    Ids hold no line break, but tags of a table may.

    Raises:
      InputError: every control character occurs.
    """
    used = set("".join(known))
    free = [one for one in ("\n", *map(chr, range(1, 32))) if one not in used]
    if not free:
        raise InputError(
            "export: the tags that requests may give hold every control character, so that "
            f"requests cannot be merged; pass merging=None. Received: {len(used)} characters"
        )
    return free[0]


def joined(lists: tf.Tensor, between: str) -> tf.Tensor:
    """Joins lists `[B, W]` into texts `[B]`, so that requests of any width can be merged.

    Args:
      lists: strings or float32.
      between: a character that no known string holds.
    """
    if lists.dtype == tf.float32:
        texts = tf.strings.as_string(tf.bitcast(lists, tf.int32))
    else:
        texts = tf.strings.regex_replace(lists, between, _UNKNOWN)
    return tf.strings.reduce_join(texts, 1, separator=between)


def parted(texts: tf.Tensor, between: str, dtype: tf.DType = tf.string) -> tf.Tensor:
    """Splits the texts `[B]` of `joined` into lists `[B, W]` of a dtype, padded with "" or NaN."""
    lists = tf.strings.split(texts, between)
    if dtype == tf.string:
        return lists.to_tensor("")
    bits = lists.flat_values
    bits = tf.strings.to_number(tf.where(bits == "", _NO_NUMBER, bits), tf.int32)
    return lists.with_flat_values(tf.bitcast(bits, tf.float32)).to_tensor(np.float32("nan"))
