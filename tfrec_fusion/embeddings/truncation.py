"""Matryoshka truncation: keeps the first dimensions of a vector, scaled to length 1."""

import json

import numpy as np

from tfrec_fusion.config import read_json
from tfrec_fusion.embeddings.arrays import check_vectors
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import new_file


class Truncation:
    """Keeps the first ``dim`` dimensions, scaled to length 1.

    Use it for encoders trained for it, whose first dimensions are good vectors themselves (Kusupati
    et al., Matryoshka Representation Learning, NeurIPS 2022), and `PCA` for others.

    Example:
        >>> Truncation(2).transform([[3.0, 4.0, 9.0]]).round(1).tolist()
        [[0.6000000238418579, 0.800000011920929]]
    """

    kind = "truncation"
    fitted = True

    def __init__(self, dim: int):
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
            raise InputError(f"dim: must be a positive integer. Received: {dim!r}")
        self.dim = dim

    def transform(self, vectors) -> np.ndarray:
        """Shortens rows ``[n, d]`` to ``[n, dim]`` float32; a zero row stays zero."""
        vectors = check_vectors(vectors, "vectors to truncate")
        self.width(vectors.shape[1])
        out = np.asarray(vectors[:, : self.dim], np.float32)
        length = np.linalg.norm(out, axis=1, keepdims=True)
        return np.divide(out, length, out=np.zeros_like(out), where=length > 0)

    def width(self, dims: int) -> int:
        """Output dims of `transform` for vectors of ``dims``."""
        if self.dim > dims:
            raise InputError(
                f"dim: cannot keep more dimensions than the vectors have ({dims}); lower it. "
                f"Received: {self.dim}"
            )
        return self.dim

    def get_config(self) -> dict:
        """Constructor arguments, JSON-ready."""
        return {"dim": self.dim}

    def save(self, path) -> None:
        """Writes the config as JSON, atomically."""
        with new_file(path) as file:
            file.write(f"{json.dumps(self.get_config())}\n".encode())

    @classmethod
    def load(cls, path) -> "Truncation":
        """Reads a file written by `save`."""
        return cls(**read_json(path, "truncation"))
