"""Limits of the size, duration and number of requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.errors import InputError

_K, _ITEM_ID, _SIMILAR_ID, _USER_ID = "k", "item_id", "similar_id", "user_id"


@dataclass(frozen=True)
class Limits:
    """Limits of requests that TF Serving lacks; the command line has an option for each.

    Attributes:
      body_bytes: bytes of one request body.
      list_length: length of each list in an input, and rows of a batch.
      k: maximum of the input `k` and of other inputs that set the number of items; their minimum
        is 1.
      in_flight: requests being answered at once.
      seconds: deadline of requests without one of their own, and time to receive a body.
      values: rows x k of an answer, and values of each input, e.g. rows x items to score.
      scores: rows x catalogue items of a request that ranks the full catalogue.

    Raises:
      InputError: a bound below 1.

    Example:
      >>> Limits().checked({"k": np.array([500], np.int32)}, {}, items=40)["k"].tolist()
      [40]
    """

    body_bytes: int = 16 << 20
    list_length: int = 10_000
    k: int = 10_000
    in_flight: int = 256
    seconds: float = 30.0
    values: int = 1_000_000
    scores: int = 200_000_000

    def __post_init__(self):
        for name, value in vars(self).items():
            if value < (0.001 if name == "seconds" else 1):
                raise InputError(f"serve: {name} must be positive. Received: {value}")

    def check_json(self, body: bytes) -> None:
        """Refuses JSON with more than `2 * values` lists, objects and members before parsing it.

        Parsing blocks all other threads and takes 60 bytes or more for each of them.

        Raises:
          StatusError: INVALID_ARGUMENT; too many.
        """
        found = sum(map(body.count, (b",", b"[", b"{")))
        if found > 2 * self.values:
            raise invalid(
                f"the body may have at most {2 * self.values} lists, objects and members. "
                f"Received: {found}"
            )

    def checked(
        self,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping,
        items: int | None = None,
        counts: Iterable[str] = (_K,),
    ) -> Mapping[str, np.ndarray]:
        """Checks inputs against the limits; returns them with `k` cut to the catalogue's size.

        Args:
          inputs: name -> array.
          outputs: name -> slot of the signature's outputs.
          items: size of the catalogue, if known.
          counts: names of the inputs that set the number of items.

        Raises:
          StatusError: INVALID_ARGUMENT; names the input, the limit and the value.
        """
        for name, values in inputs.items():
            longest = max(values.shape, default=0)
            if longest > self.list_length:
                raise invalid(
                    f"{name}: lists may have at most {self.list_length} values. Received: {longest}"
                )
            if values.size > self.values:
                raise invalid(
                    f"{name}: may have at most {self.values} values in all. Received: {values.size}"
                )
        rows = max((len(values) for values in inputs.values() if values.ndim), default=1)
        ranks = (_ITEM_ID in outputs and _ITEM_ID not in inputs) or _SIMILAR_ID in outputs
        if items is not None and ranks and rows * items > self.scores:
            raise invalid(
                f"a request may rank at most {self.scores} pairs of a row and a catalogue item; "
                f"send fewer rows. Received: {rows} rows x {items} items"
            )
        most = None if _USER_ID in outputs else items
        for name in counts:
            inputs = self._counted(inputs, name, rows, most)
        return inputs

    def _counted(self, inputs, name: str, rows: int, items: int | None):
        """Checks one input that sets the number of items, and cuts it to the catalogue's size."""
        wanted = inputs.get(name)
        if wanted is None or wanted.dtype.kind not in "iu" or not wanted.size:
            return inputs
        smallest, largest = int(wanted.min()), int(wanted.max())
        if smallest < 1:
            raise invalid(f"{name} must be at least 1. Received: {smallest}")
        if largest > self.k:
            raise invalid(f"{name} must be at most {self.k}. Received: {largest}")
        if items is not None and largest > items:
            inputs = {**inputs, name: np.minimum(wanted, wanted.dtype.type(items))}
            largest = items
        if rows * largest > self.values:
            raise invalid(
                f"rows x {name} may be at most {self.values}; send fewer rows or a smaller {name}. "
                f"Received: {rows} rows x {largest}"
            )
        return inputs

    def full(self) -> StatusError:
        """The error for a request beyond `in_flight`: RESOURCE_EXHAUSTED."""
        return StatusError(
            "RESOURCE_EXHAUSTED", f"{self.in_flight} requests are being answered; try again later"
        )
