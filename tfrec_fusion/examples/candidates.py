"""How many candidates a batch scores."""

from __future__ import annotations

from typing import Literal

from tfrec_fusion.errors import InputError

FULL_SCORES = 1 << 24
"""Up to so many scores in a batch, users x items, the whole catalogue is scored."""
SAMPLED = 8192
"""Sampled candidates of a batch beyond it."""


def resolved_candidates(
    candidates: int | Literal["auto"] | None, n_items: int, batch_size: int
) -> int | None:
    """Returns the number of sampled candidates, or None for the whole catalogue.

    Args:
      candidates: "auto" chooses by the number of scores in a batch.
      n_items: size of the catalogue.
      batch_size: users per batch.

    Raises:
      InputError: `candidates` is no positive whole number, None or "auto".

    Example:
      >>> resolved_candidates("auto", n_items=100_000, batch_size=512)
      8192
    """
    if candidates == "auto":
        return SAMPLED if batch_size * n_items > FULL_SCORES else None
    whole = isinstance(candidates, int) and not isinstance(candidates, bool) and candidates > 0
    if candidates is not None and not whole:
        raise InputError(
            "batches: candidates must be a positive whole number, None for the whole catalogue, or "
            f"'auto'. Received: {candidates!r}"
        )
    return candidates
