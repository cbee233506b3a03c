"""Vectors in the row order of a catalogue, with a mask for missing ones."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class AlignedVectors:
    """Item vectors in the order of a catalogue, with a mask.

    Attributes:
        values: ``[n, dims]`` float32 or float16. Rows of items without a vector are zero.
        mask: ``[n]`` bool, True where the item has a vector.

    Example:
        >>> import numpy as np
        >>> vectors = AlignedVectors(np.zeros((2, 3), "float32"), np.array([True, False]))
        >>> len(vectors), vectors.dims, vectors.coverage
        (2, 3, 0.5)
    """

    values: np.ndarray
    mask: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dims(self) -> int:
        """Length of one vector."""
        return int(self.values.shape[1])

    @property
    def coverage(self) -> float:
        """Share of the rows that have a vector, in 0..1."""
        return float(self.mask.mean()) if len(self.mask) else 0.0
