"""The base class of encoders."""

import abc
import hashlib
import json
import os
from collections.abc import Iterator, Sequence

import numpy as np

Batch = tuple[np.ndarray, np.ndarray]


class Encoder(abc.ABC):
    """Base class of encoders, which turn texts into vectors batch by batch.

    A subclass implements `identity` and `stream`. `embeddings.encode` writes each batch to disk
    before it requests the next one, so a batch should take a few seconds at most.

    Attributes:
        name: name of the encoder, for messages and the store's manifest.
        pooling: how token vectors are pooled; None if it does not apply.
        revision: version of the weights, if known.
    """

    name: str
    pooling: str | None = None
    revision: str | None = None

    @abc.abstractmethod
    def identity(self) -> dict:
        """All that the vectors depend on, JSON-ready; no secrets, paths or batch sizes."""

    @abc.abstractmethod
    def stream(self, texts: Sequence[str]) -> Iterator[Batch]:
        """Encodes ``[n]`` texts, in batches of any order.

        Yields:
            int64 ``[b]`` positions in ``texts``, and their vectors ``[b, dims]`` float32.
        """

    def prepared(self, texts: Sequence[str], store: str | os.PathLike) -> "Encoder":
        """The encoder to use for a store of these texts; fits an encoder that needs fitting."""
        return self

    @property
    def fingerprint(self) -> str:
        """Hash of `identity` (32 hex digits); a store holds vectors of one fingerprint only."""
        identity = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:32]

    def estimate(self, texts: Sequence[str]) -> str | None:
        """A line about the expected cost, printed before encoding starts; None for no line."""
        return None

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encodes texts to ``[n, dims]`` float32 in their order; ``[0, 0]`` without texts."""
        out = np.zeros((0, 0), np.float32)
        for rows, vectors in self.stream(texts):
            if not out.size:
                out = np.zeros((len(texts), vectors.shape[1]), np.float32)
            out[rows] = vectors
        return out


def longest_first(texts: Sequence[str]) -> np.ndarray:
    """Positions ``[n]`` by descending length, so that running out of memory shows at the start."""
    return np.argsort([-len(text) for text in texts], kind="stable")


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32; zero rows stay zero."""
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
