"""Wraps a function of texts as an encoder."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfrec_fusion.embeddings.arrays import as_array
from tfrec_fusion.embeddings.encoders.base import Batch, Encoder, longest_first
from tfrec_fusion.errors import InputError


class CallableEncoder(Encoder):
    """Encodes with a function `list[str] -> [n, dims]`, on batches of texts of similar length.

    Name and version identify the vectors: change the version if the function's vectors change, or
    a store will mix old and new ones.

    Example:
      >>> by_length = CallableEncoder(lambda texts: [[float(len(t))] for t in texts], name="length")
      >>> by_length.encode(["a", "bcd"]).tolist()
      [[1.0], [3.0]]
    """

    def __init__(
        self,
        function: Callable,
        name: str | None = None,
        version: str | None = None,
        batch_texts: int = 256,
    ):
        """
        Args:
          function: the function.
          name: name of the encoder; None is the function's own name.
          version: version of the function's vectors.
          batch_texts: most texts per call.

        Raises:
          InputError: no name is given and the function has none (a lambda).
        """
        if name is None:
            name = f"{function.__module__}.{getattr(function, '__qualname__', '<lambda>')}"
        if "<lambda>" in name:
            raise InputError(
                "name: the store records the encoder's name, and this function has none; give "
                f"name=. Received: {function!r}"
            )
        if batch_texts < 1:
            raise InputError(f"batch_texts: must be at least 1. Received: {batch_texts!r}")
        self.name, self.revision = name, version
        self._function = function
        self._batch = batch_texts

    def identity(self) -> dict:
        return {"kind": "function", "name": self.name, "version": self.revision}

    def stream(self, texts: Sequence[str]) -> Iterator[Batch]:
        order = longest_first(texts)
        for start in range(0, len(order), self._batch):
            rows = order[start : start + self._batch]
            vectors = self._function([texts[row] for row in rows])
            yield rows, as_array(vectors, f"vectors of {self.name}").astype(np.float32)
