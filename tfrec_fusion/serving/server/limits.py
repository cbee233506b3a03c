"""How much a request, and all of them together, may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfrec_fusion.errors import InputError
from tfrec_fusion.serving.server.status import StatusError, invalid

_K = "k"


@dataclass(frozen=True)
class Limits:
    """Bounds that TF Serving lacks; each can be set on the command line.

    Attributes:
      body_bytes: of one request.
      list_length: of each list of an input, and rows of a batch.
      k: the largest value of an integer input of that name.
      in_flight: requests at once.
      seconds: a request without a deadline of its own gets this one; so does its body.

    Raises:
      InputError: a bound below 1.

    Example:
      >>> Limits(k=100).check({"k": np.array([500], np.int32)})
      Traceback (most recent call last):
      ...
      tfrec_fusion.serving.server.status.StatusError: INVALID_ARGUMENT: k must be at most 100 ...
    """

    body_bytes: int = 16 << 20
    list_length: int = 10_000
    k: int = 10_000
    in_flight: int = 256
    seconds: float = 30.0

    def __post_init__(self):
        for name, value in vars(self).items():
            if value < (0.001 if name == "seconds" else 1):
                raise InputError(f"serve: {name} must be positive. Received: {value}")

    def check(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Refuses inputs beyond the bounds.

        Raises:
          StatusError: INVALID_ARGUMENT; names the input, the bound and the value.
        """
        for name, values in inputs.items():
            longest = max(values.shape, default=0)
            if longest > self.list_length:
                raise invalid(
                    f"{name}: lists may have at most {self.list_length} values. Received: {longest}"
                )
        wanted = inputs.get(_K)
        if wanted is not None and wanted.dtype.kind in "iu" and wanted.size:
            largest = int(wanted.max())
            if largest > self.k:
                raise invalid(f"{_K} must be at most {self.k}. Received: {largest}")

    def full(self) -> StatusError:
        """RESOURCE_EXHAUSTED, to the request above `in_flight`."""
        return StatusError(
            "RESOURCE_EXHAUSTED", f"{self.in_flight} requests are being answered; try again later"
        )
