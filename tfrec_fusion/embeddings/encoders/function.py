"""Any function of texts as an encoder."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfrec_fusion.embeddings.arrays import as_array
from tfrec_fusion.embeddings.encoders.base import Batch, Encoder, longest_first
from tfrec_fusion.errors import InputError


class CallableEncoder(Encoder):
    """A function `list[str] -> [n, dims]`, called with batches of texts of about one length.

    Name and version stand for the vectors: change the version when the function gives others, or
    old and new ones will share a store.

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
          name: None takes the function's own.
          version: of what the function does.
          batch_texts: texts of a call.

        Raises:
          InputError: no name, and the function has none of its own.
        """
        if name is None:
            name = f"{function.__module__}.{getattr(function, '__qualname__', '<lambda>')}"
        if "<lambda>" in name:
            raise InputError(
                "name: the store must say which encoder made its vectors, and this function has no "
                f"name; give one. Received: {function!r}"
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
