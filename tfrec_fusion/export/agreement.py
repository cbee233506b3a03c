"""Compares the answers of another runtime with a SavedModel's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

TOLERANCE = 1e-5


def difference(answer: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> str:
    """Describes the first difference between an answer and the expected one; "" if there is none.

    Args:
      answer, expected: output name -> array. Numbers may differ by 1e-5, ids only where neighbours
        have equal scores in the output `score` of the same shape.

    Example:
      >>> difference({"score": np.ones(2)}, {"score": np.zeros(2)})
      'score differs by 1'
    """
    for name, wanted in expected.items():
        if name not in answer:
            return f"output {name} is missing"
        found = answer[name]
        if found.shape != wanted.shape:
            return f"{name} has the shape {found.shape}, not {wanted.shape}"
        if wanted.dtype == object:
            ties = _ties(expected.get("score"), wanted.shape)
            wrong = (_texts(found) != _texts(wanted)) & ~ties
            if wrong.any():
                return f"{name} differs in {wrong.sum()} places"
        elif not np.allclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            with np.errstate(invalid="ignore"):
                apart = np.nan_to_num(np.abs(found.astype(np.float64) - wanted), nan=0.0)
            return f"{name} differs by {apart.max():.3g}"
    return ""


def _ties(scores, shape) -> np.ndarray:
    """`[B, k]` bool: where a score equals a neighbour's, so the order of the ids may differ."""
    ties = np.zeros(shape, bool)
    if scores is None or scores.shape != shape or scores.ndim != 2:
        return ties
    tied = np.isclose(scores[:, 1:], scores[:, :-1], rtol=2 * TOLERANCE, atol=2 * TOLERANCE)
    ties[:, 1:] |= tied
    ties[:, :-1] |= tied
    ties[:, -1:] = True  # it may tie with an item just beyond the list
    return ties


def _texts(values: np.ndarray) -> np.ndarray:
    found = np.empty(values.size, object)
    found[:] = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values.flat]
    return found.reshape(values.shape)
