"""Encodes the features of requests inside a graph."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.context import MOMENT
from tfrec_fusion.features.side import Side
from tfrec_fusion.signature import Tensor

_MEANINGS = {
    "text": '"" if not given',
    "tags": '"" pads; none if not given',
    "number": "NaN if not given",
    "time": "unix seconds, NaN if not given",
}


class RequestEncoder(tf.Module):
    """Encodes a side's features of requests, as `Side.encode` does those of tables.

    There is one input for each column. A column that several features read as different things,
    e.g. as a category and as a number, has one for each, named `<column>_text`, `<column>_number`
    and so on. Texts must equal those of the table exactly; a number that is a category is its
    shortest text, e.g. "3". Numbers beyond float32 and times beyond the year 5138 count as missing.

    Args:
      side: the fitted features.
      prefix: put before the names of inputs that do not begin with it, e.g. "user_".
      renamed: column -> name of its input.

    Attributes:
      inputs: the inputs of a request.
      names: input name -> column.
      inputs_of: column -> input name, for each feature.
    """

    def __init__(self, side: Side, prefix: str = "", renamed: Mapping[str, str] | None = None):
        super().__init__(name="request_encoder")
        self.side = side
        self.inputs, self.names, self.inputs_of = _inputs(side, prefix, renamed or {})
        self._tables = [_table(one.vocabulary) if one.vocabulary else None for one in side.features]
        counts = [[place] * one.width for place, one in enumerate(side.features)]
        self._of_rows = [place for places in counts for place in places]
        counts = [[place] * one.n_numbers for place, one in enumerate(side.features)]
        self._of_numbers = [place for places in counts for place in places]

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """Input name -> the texts that training knows, for those with a vocabulary."""
        return {
            names[one.column]: one.vocabulary
            for one, names in zip(self.side.features, self.inputs_of, strict=True)
            if one.vocabulary
        }

    def __call__(self, given: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Encodes B requests.

        Args:
          given: input name -> string `[B]` or `[B, W]`, or float64 `[B]`.

        Returns:
          Rows of the embedding table `[B, width]` int32 and numbers `[B, n_numbers]` float32, as
          `Side.encode`.
        """
        parts = []
        for one, names, table in zip(self.side.features, self.inputs_of, self._tables, strict=True):
            values = {column: given[name] for column, name in names.items()} or given
            known = None
            if table is not None:
                known = tf.cast(table.lookup(values[one.column]), tf.int32)
            parts.append(one.encode_tensors(values, known))
        return joined_rows(self.side, parts)

    def override(
        self, given: Mapping[str, tf.Tensor], stored: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Encodes B requests; features whose columns are not given keep their stored values.

        Args:
          given: as for a call.
          stored: encoded rows and numbers of the B requests.
        """
        if not given:
            return stored
        here = {name: is_given(value) for name, value in given.items()}
        never = tf.zeros_like(next(iter(here.values())))
        replaced = [
            tf.reduce_any(tf.stack([never, *(here[name] for name in names.values())]), 0)
            for names in self.inputs_of
        ]
        replaced = tf.stack(replaced, 1)
        return tuple(
            tf.where(tf.gather(replaced, tf.constant(places, tf.int32), axis=1), new, old)
            for places, new, old in zip(
                (self._of_rows, self._of_numbers), self(given), stored, strict=True
            )
        )


def request_inputs(
    side: Side, prefix: str = "", renamed: Mapping[str, str] | None = None
) -> tuple[Tensor, ...]:
    """Returns the inputs that a `RequestEncoder` with these arguments reads."""
    return _inputs(side, prefix, renamed or {})[0]


def feature_inputs(
    side: Side, prefix: str = "", renamed: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """Returns column -> name of the input that gives it, for each feature of a side."""
    return _inputs(side, prefix, renamed or {})[2]


def joined_rows(
    side: Side, parts: Sequence[tuple[tf.Tensor, tf.Tensor]]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Joins the encoded features of a side, in order, as `Side.encode` does."""
    rows, numbers, first = [], [], 0
    for one, (found, more) in zip(side.features, parts, strict=True):
        rows.append(tf.where(found < 0, -1, found + first))
        numbers.append(more)
        first += one.n_values
    return tf.concat(rows, 1), tf.concat(numbers, 1)


def is_given(value: tf.Tensor) -> tf.Tensor:
    """Returns for each request, `[B]` bool, whether an input has any value but its neutral one."""
    if value.dtype == tf.string:
        return tf.reduce_any(value != "", 1) if value.shape.rank == 2 else value != ""
    return ~tf.math.is_nan(value)


def _inputs(
    side: Side, prefix: str, renamed: Mapping[str, str]
) -> tuple[tuple[Tensor, ...], dict[str, str], list[dict]]:
    """The inputs, input name -> column, and column -> input name of each feature."""
    asked = [one for one in side.features if one.reads]
    read = dict.fromkeys((c, one.reads) for one in asked for c in one.columns)
    kinds = Counter(column for column, _ in read)
    names = {}
    for column, kind in read:
        name = renamed.get(column, re.sub(r"\W", "_", column, flags=re.ASCII))
        name = name if name.startswith(prefix) else prefix + name
        names[column, kind] = name if kinds[column] == 1 else f"{name}_{kind}"
        if not name.isidentifier() or keyword.iskeyword(name) or name == "self":
            raise InputError(
                f"{side.table}: the name of a column of the context becomes that of an input of "
                f"requests, which {name!r} cannot be; rename it. Received: {column!r}"
            )
    inputs = []
    for (column, kind), name in names.items():
        dtype, shape = ("string" if kind in ("text", "tags") else "float64"), "[B]"
        if kind == "tags":
            shape = f"[B, T_{name}]"
        meaning = f"{side.table}: {column}; {_MEANINGS[kind]}"
        given = "" if kind != "time" else "time" if column == MOMENT else "date"
        inputs.append(Tensor(name, dtype, shape, meaning, given))
    of_features = [
        {c: names[c, one.reads] for c in one.columns if one.reads} for one in side.features
    ]
    return tuple(inputs), {name: column for (column, _), name in names.items()}, of_features


def _table(texts: tuple[str, ...]) -> tf.lookup.StaticHashTable:
    rows = tf.lookup.KeyValueTensorInitializer(
        tf.constant(texts, tf.string), tf.constant(np.arange(len(texts)), tf.int64)
    )
    return tf.lookup.StaticHashTable(rows, default_value=-1)
