"""Arrays as texts, for configs of fitted features."""

from __future__ import annotations

import base64

import numpy as np


def packed(values: np.ndarray, dtype: str = "<f4") -> str:
    """Returns the values as base64 of `dtype`, by default float32, little-endian."""
    return base64.b64encode(np.asarray(values, dtype).tobytes()).decode()


def unpacked(text: str, dtype: str = "<f4") -> np.ndarray:
    """Returns the flat values `[n]` of a text of `packed`."""
    return np.frombuffer(base64.b64decode(text), dtype)
