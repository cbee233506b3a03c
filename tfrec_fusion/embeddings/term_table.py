"""Vectors of terms, whose sum encodes a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TRIGRAM = "#"
"""Marks the terms that are character trigrams; no word holds it."""


@dataclass(frozen=True, eq=False)
class TermTable:
    """An encoder as a table: a text's vector is the sum of its terms' vectors, scaled to length 1.

    Unlike a language model, a graph of TensorFlow can hold it, so that a server encodes texts.

    Attributes:
      terms: distinct words, two words joined by a space, or `TRIGRAM` and a character trigram.
      vectors: `[n_terms, dims]` float32.
      pairs: whether terms may be two adjacent words.
      damped: whether a term that occurs n times counts 1 + log n times instead of n times.
      fold: how texts are split into words; see `Tokenizer`.
      trigrams: whether terms may be trigrams of the words; see `trigrams`.
    """

    terms: Sequence[str]
    vectors: np.ndarray
    pairs: bool
    damped: bool
    fold: bool
    trigrams: bool = False

    @property
    def dims(self) -> int:
        """Length of one vector."""
        return int(self.vectors.shape[1])
