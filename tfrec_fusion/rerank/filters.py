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
from tfrec_fusion.signature import Tensor


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
    def inputs(self) -> tuple[Tensor, ...]:
        """What they add to `recommend`."""
        return tuple(tensor for one in self.filters for tensor in one.inputs)

    def restrictions(self, inputs: Mapping[str, tf.Tensor]) -> list[Restriction]:
        """What the inputs allow, one a column."""
        return [one(*(inputs[tensor.name] for tensor in one.inputs)) for one in self.filters]


def check_filters(attributes: Sequence[Attribute], taken: Sequence[str] = ()) -> None:
    """Refuses columns whose filters would have no input of their own.

    Args:
      taken: names of the other inputs of a request.

    Raises:
      InputError: a name that is no input's, or one that is taken.
    """
    names = [*taken]
    for attribute in attributes:
        name = attribute.name
        if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
            raise InputError(
                "export: filters: a column must have a name of letters, digits and underscores, "
                f"which becomes an input's; rename it. Received: {name!r}"
            )
        for tensor in _KINDS[attribute.kind].described(name):
            if tensor.name in names:
                raise InputError(
                    f"export: filters: column {name!r} needs the input {tensor.name!r}, which "
                    f"recommend has already; rename the column. Inputs: {names}"
                )
            names.append(tensor.name)


class _Texts(tf.Module):
    def __init__(self, attribute: Attribute, folder: Path):
        super().__init__(name=attribute.name)
        self.inputs = self.described(attribute.name)
        self.missing = len(attribute.texts)
        self.codes = tf.Variable(attribute.data, trainable=False, name=attribute.name)
        path = folder / f"filter_{attribute.name}.txt"
        Vocabulary(attribute.texts).save(path)
        self.table = RowTable(path)

    @staticmethod
    def described(name: str) -> tuple[Tensor, ...]:
        meaning = f'only items with any of these as {name}, "" changes nothing'
        return (Tensor(name, "string", "[B, F]", meaning),)

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
        self.inputs = self.described(attribute.name)
        self.values = tf.Variable(attribute.data, trainable=False, name=attribute.name)

    @staticmethod
    def described(name: str) -> tuple[Tensor, ...]:
        return tuple(
            Tensor(
                f"{name}_{end}",
                "float32",
                "[B]",
                f"the {which} {name} that may come back, NaN is no limit",
            )
            for end, which in (("min", "lowest"), ("max", "highest"))
        )

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
        self.inputs = self.described(attribute.name)
        self.flags = tf.Variable(attribute.data, trainable=False, name=attribute.name)

    @staticmethod
    def described(name: str) -> tuple[Tensor, ...]:
        return (Tensor(name, "bool", "[B]", f"True for only the items that are {name}"),)

    def __call__(self, wanted) -> Restriction:
        return Restriction(
            tf.reduce_any(wanted),
            lambda: self.flags[None] | ~wanted[:, None],
            lambda rows: tf.gather(self.flags.read_value(), rows) | ~wanted[:, None],
        )


_KINDS = {"text": _Texts, "number": _Numbers, "flag": _Flags}
