"""Inputs of `recommend` that filter by attributes of the items."""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.rerank.attributes import Attribute
from tfrec_fusion.rerank.restriction import Restriction
from tfrec_fusion.retrieval.row_table import RowTable

REQUEST_INPUTS = ("user_id", "history", "exclude", "include", "exclude_seen", "k")
"""The inputs of `recommend` beside the filters, whose names no filter can have."""


class Filters(tf.Module):
    """The attributes chosen at an export, as variables and tables of it.

    A column of texts is an input of its name, texts any of which an item must have; one of numbers
    is two, its name with `_min` and `_max`; one of booleans is an input of its name, True for only
    the items that have it. "", NaN and False filter nothing. An item whose value is missing passes
    no filter of that column that filters anything.

    Args:
      attributes: of the catalogue.
      folder: where the tables of texts are written; they are copied into the export.
    """

    def __init__(self, attributes: Sequence[Attribute], folder: Path):
        super().__init__(name="filters")
        self.filters = [_KINDS[attribute.kind](attribute, folder) for attribute in attributes]

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """Input name -> spec."""
        return {name: spec for one in self.filters for name, spec in one.specs.items()}

    def neutral(self, batch) -> dict[str, tf.Tensor]:
        """Inputs of `batch` requests that filter nothing."""
        return {
            name: tf.fill([batch, *[0] * (spec.shape.rank - 1)], _NEUTRAL[spec.dtype])
            for name, spec in self.specs.items()
        }

    def restrictions(self, inputs: Mapping[str, tf.Tensor]) -> list[Restriction]:
        """What the inputs allow, one a column."""
        return [one(*(inputs[name] for name in one.specs)) for one in self.filters]


def filter_inputs(attributes: Sequence[Attribute]) -> dict[str, str]:
    """Input name -> dtype, shape and meaning.

    Raises:
      InputError: a name that is no input's, or one that is taken.
    """
    found = {}
    for attribute in attributes:
        name = attribute.name
        if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
            raise InputError(
                "export: filters: a column must have a name of letters, digits and underscores, "
                f"which becomes an input's; rename it. Received: {name!r}"
            )
        for own, text in _KINDS[attribute.kind].described(name).items():
            taken = [*REQUEST_INPUTS, *found]
            if own in taken:
                raise InputError(
                    f"export: filters: column {name!r} needs the input {own!r}, which recommend "
                    f"has already; rename the column. Inputs: {taken}"
                )
            found[own] = text
    return found


class _Texts(tf.Module):
    def __init__(self, attribute: Attribute, folder: Path):
        super().__init__(name=attribute.name)
        self.specs = {attribute.name: tf.TensorSpec([None, None], tf.string, attribute.name)}
        self.missing = len(attribute.texts)
        self.codes = tf.Variable(attribute.data, trainable=False, name=attribute.name)
        path = folder / f"filter_{attribute.name}.txt"
        Vocabulary(attribute.texts).save(path)
        self.table = RowTable(path)

    @staticmethod
    def described(name: str) -> dict[str, str]:
        return {name: f'string [B, F]: only items with any of these as {name}, "" changes nothing'}

    def __call__(self, texts) -> Restriction:
        given = tf.reduce_any(texts != "", 1)
        codes = self.table.lookup(texts)
        known = tf.where(codes >= 0)
        pairs = tf.stack([tf.cast(known[:, 0], tf.int32), tf.gather_nd(codes, known)], 1)
        # For each request and text whether an item with the text may come; the last column is
        # that of items without one.
        passes = tf.tile(~given[:, None], [1, self.missing + 1])
        passes = tf.tensor_scatter_nd_update(passes, pairs, tf.ones(tf.shape(pairs)[:1], tf.bool))
        columns = range(self.codes.shape[0])

        def dense():
            found = [tf.gather(passes, self.codes[column], axis=1) for column in columns]
            return tf.reduce_any(found, 0) if len(found) > 1 else found[0]

        def of(rows):
            found = [
                tf.gather(passes, tf.gather(self.codes[column], rows), batch_dims=1)
                for column in columns
            ]
            return tf.reduce_any(found, 0)

        return Restriction(tf.reduce_any(given), dense, of)


class _Numbers(tf.Module):
    def __init__(self, attribute: Attribute, folder: Path):
        super().__init__(name=attribute.name)
        self.specs = {
            name: tf.TensorSpec([None], tf.float32, name) for name in self.described(attribute.name)
        }
        self.values = tf.Variable(attribute.data, trainable=False, name=attribute.name)

    @staticmethod
    def described(name: str) -> dict[str, str]:
        return {
            f"{name}_min": f"float32 [B]: the lowest {name} that may come back, NaN is no limit",
            f"{name}_max": f"float32 [B]: the highest {name} that may come back, NaN is no limit",
        }

    def __call__(self, lowest, highest) -> Restriction:
        lowest, highest = lowest[:, None], highest[:, None]

        def within(values):
            # A missing value is NaN, with which no comparison holds.
            above = (values >= lowest) | tf.math.is_nan(lowest)
            return above & ((values <= highest) | tf.math.is_nan(highest))

        used = tf.reduce_any(~tf.math.is_nan(tf.concat([lowest, highest], 0)))
        return Restriction(
            used,
            lambda: within(self.values[None]),
            lambda rows: within(tf.gather(self.values.read_value(), rows)),
        )


class _Flags(tf.Module):
    def __init__(self, attribute: Attribute, folder: Path):
        super().__init__(name=attribute.name)
        self.specs = {attribute.name: tf.TensorSpec([None], tf.bool, attribute.name)}
        self.flags = tf.Variable(attribute.data, trainable=False, name=attribute.name)

    @staticmethod
    def described(name: str) -> dict[str, str]:
        return {name: f"bool [B]: True for only the items that are {name}"}

    def __call__(self, wanted) -> Restriction:
        return Restriction(
            tf.reduce_any(wanted),
            lambda: self.flags[None] | ~wanted[:, None],
            lambda rows: tf.gather(self.flags.read_value(), rows) | ~wanted[:, None],
        )


_KINDS = {"text": _Texts, "number": _Numbers, "flag": _Flags}
_NEUTRAL = {tf.string: "", tf.float32: float("nan"), tf.bool: False}
