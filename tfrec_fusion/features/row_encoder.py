"""Encodes the features of requests for runtimes without texts, e.g. LiteRT."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.kinds.cross import Cross
from tfrec_fusion.features.kinds.feature import NOT_GIVEN, Feature
from tfrec_fusion.features.kinds.hashing import hash_rows
from tfrec_fusion.features.request_encoder import feature_inputs, joined_rows
from tfrec_fusion.features.side import Side
from tfrec_fusion.signature import Tensor

_LEAST = np.iinfo(np.int64).min
# Inputs and files of every ranker.
_TAKEN = ("user", "item", "history", "history_age", "users", "items")
_TEXT = f"-1 is an unknown one, {NOT_GIVEN} none"


class RowEncoder:
    """Encodes a side's features as `RequestEncoder` does, from rows in the place of texts.

    Numbers are float32 and times int64. There is one input for each feature of texts, and one for
    each column of numbers or times. Its name is that of the request's input, or for a combination
    of columns (`Cross`) that of the feature; a number follows if the model or a feature that reads
    the column in another way already has the name.

    Args:
      side: the fitted features.
      renamed: column -> name of its input in requests.

    Attributes:
      inputs: the inputs.
      names: input name -> the feature's column.
      vocabularies: input name -> its texts in the order of their rows, if it has a vocabulary.
    """

    def __init__(self, side: Side, renamed: Mapping[str, str] | None = None):
        self.side, self.names, self.vocabularies = side, {}, {}
        self._asked = feature_inputs(side, renamed=renamed)
        self._names: list[str] = []
        looked_up: dict[str, tuple] = dict.fromkeys(_TAKEN, ())
        inputs: dict[str, Tensor] = {}
        for one, of_columns in zip(side.features, self._asked, strict=True):
            name = of_columns.get(one.column) or re.sub(r"\W", "_", one.column, flags=re.ASCII)
            key = one.columns, one.reads, one.vocabulary, getattr(one, "hash_buckets", None)
            first, more = name, 2
            while looked_up.setdefault(name, key) != key:
                name, more = f"{first}_{more}", more + 1
            inputs[name], self.names[name] = _input(name, one), one.column
            self._names.append(name)
            if one.vocabulary:
                self.vocabularies[name] = one.vocabulary
        self.inputs = tuple(inputs.values())

    @property
    def requested(self) -> list[tuple[Feature, dict[str, str]]]:
        """Each feature, and column -> input of a request that gives it."""
        return list(zip(self.side.features, self._asked, strict=True))

    def __call__(self, given: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Encodes B requests; see `Feature.encode_rows`.

        Returns:
          Rows of the embedding table `[B, width]` int32 and numbers `[B, n_numbers]` float32.
        """
        features = self.side.features
        return joined_rows(
            self.side,
            [one.encode_rows(given[n]) for one, n in zip(features, self._names, strict=True)],
        )

    def rows_of(self, request: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Converts the inputs of a request, texts and float64, to `inputs`."""
        found = {}
        for (one, asked), name in zip(self.requested, self._names, strict=True):
            values = [np.asarray(request[asked[column]]) for column in one.columns]
            if one.reads == "number":
                with np.errstate(over="ignore"):  # infinite numbers are missing
                    found[name] = values[0].astype(np.float32)
            elif one.reads == "time":
                missing = ~(np.abs(values[0]) < 1e18)
                rounded = np.rint(np.where(missing, 0, values[0])).astype(np.int64)
                found[name] = np.where(missing, _LEAST, rounded)
            else:
                found[name] = _found(one, values)
        return found


def _found(one: Feature, values: list[np.ndarray]) -> np.ndarray:
    """Positions or hashes of texts, int32."""
    texts = ["\0".join(row) for row in zip(*(v.ravel().tolist() for v in values), strict=True)]
    given = np.all([value != "" for value in values], 0)
    buckets = getattr(one, "hash_buckets", None)
    if buckets:
        rows = hash_rows(texts, buckets)
    else:
        places = {text: row for row, text in enumerate(one.vocabulary)}
        rows = np.array([places.get(text, -1) for text in texts], np.int32)
    missing = -1 if one.reads == "tags" else NOT_GIVEN
    return np.where(given, rows.reshape(given.shape), missing).astype(np.int32)


def _input(name: str, one: Feature) -> Tensor:
    if one.reads == "number":
        return Tensor(name, "float32", "[B]", "NaN if not given")
    if one.reads == "time":
        return Tensor(name, "int64", "[B]", "whole unix seconds; the least int64 if not given")
    if one.reads == "tags":
        return Tensor(name, "int32", f"[B, T_{name}]", f"lines of {name}.txt, from 0; -1 pads")
    buckets = getattr(one, "hash_buckets", None)
    if not buckets:
        return Tensor(name, "int32", "[B]", f"line of {name}.txt, from 0; {_TEXT}")
    of = " of the texts joined by a zero byte" if isinstance(one, Cross) else ""
    return Tensor(
        name, "int32", "[B]", f"FarmHash Fingerprint64{of} modulo {buckets}; {NOT_GIVEN} is none"
    )
