"""What every encoder is."""

import abc
import hashlib
import json
import os
from collections.abc import Iterator, Sequence

import numpy as np

Batch = tuple[np.ndarray, np.ndarray]


class Encoder(abc.ABC):
    """Texts to vectors, a batch at a time.

    A subclass gives `identity` and `stream`. Each batch that `stream` yields is made durable by
    `embeddings.encode` before the next one is asked for, so a batch should take no more than a few
    seconds.

    Attributes:
        name: of the encoder, for people and for the manifest of the store.
        pooling: how vectors of tokens become one; None where that is the encoder's own affair.
        revision: version of the weights, where known.
    """

    name: str
    pooling: str | None = None
    revision: str | None = None

    @abc.abstractmethod
    def identity(self) -> dict:
        """All that the vectors depend on, JSON-ready; never a secret, place or batch size."""

    @abc.abstractmethod
    def stream(self, texts: Sequence[str]) -> Iterator[Batch]:
        """The vectors of ``[n]`` texts, in batches of any order.

        Yields:
            int64 ``[b]`` positions in ``texts``, and their vectors ``[b, dims]`` float32.
        """

    def prepared(self, texts: Sequence[str], store: str | os.PathLike) -> "Encoder":
        """The encoder for a store of these texts; one that is fitted to texts is fitted here."""
        return self

    @property
    def fingerprint(self) -> str:
        """Hash of `identity` (32 hex digits): vectors of equal fingerprints may share a store."""
        identity = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:32]

    def estimate(self, texts: Sequence[str]) -> str | None:
        """What encoding the texts will take, told in one line before it starts; None is nothing."""
        return None

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of the texts in their order, ``[n, dims]`` float32; ``[0, 0]`` for none."""
        out = np.zeros((0, 0), np.float32)
        for rows, vectors in self.stream(texts):
            if not out.size:
                out = np.zeros((len(texts), vectors.shape[1]), np.float32)
            out[rows] = vectors
        return out


def longest_first(texts: Sequence[str]) -> np.ndarray:
    """Positions ``[n]`` by falling length: what does not fit in memory fails at once."""
    return np.argsort([-len(text) for text in texts], kind="stable")


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32; zero rows stay zero."""
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
