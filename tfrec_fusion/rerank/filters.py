"""Filters: inputs of the signature `recommend` that filter by item attributes."""

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
    """The filters of an export, as variables and lookup tables in its graph.

    A text column `c` adds an input `c`: items must have any of the given texts. A numeric column
    adds the inputs `c_min` and `c_max`. A boolean column adds an input `c`: True selects only the
    items that have it. "", NaN and False mean no filter. An active filter excludes items whose
    value is missing.

    Args:
      attributes: item attributes to filter by.
      folder: folder for the lookup tables of texts, which are copied into the export.
    """

    def __init__(self, attributes: Sequence[Attribute], folder: Path):
        super().__init__(name="filters")
        self.filters = [_KINDS[attribute.kind](attribute, folder) for attribute in attributes]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs that the filters add to `recommend`."""
        return tuple(tensor for one in self.filters for tensor in one.inputs)

    def restrictions(self, inputs: Mapping[str, tf.Tensor]) -> list[Restriction]:
        """Returns the restrictions of the requests, one per column."""
        return [one(*(inputs[tensor.name] for tensor in one.inputs)) for one in self.filters]


def check_filters(attributes: Sequence[Attribute], taken: Sequence[str] = ()) -> None:
    """Checks that the columns can be filters, i.e. that their names are free as inputs.

    Args:
      attributes: item attributes to filter by.
      taken: names of the other inputs of a request.

    Raises:
      InputError: a name is no valid name of an input, or is already taken.
    """
    names = [*taken]
    for attribute in attributes:
        name = attribute.name
        if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
            raise InputError(
                "export: filters: the name of a column becomes that of an input, so it must have "
                f"only letters, digits and underscores; rename it. Received: {name!r}"
            )
        for tensor in _KINDS[attribute.kind].described(name):
            if tensor.name in names:
                raise InputError(
                    f"export: filters: column {name!r} needs the input {tensor.name!r}, which "
                    f"recommend already has; rename the column. Inputs: {names}"
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
        meaning = f'only items with any of these texts in {name}; "" is no filter'
        return (Tensor(name, "string", "[B, F]", meaning),)

    def __call__(self, texts) -> Restriction:
        given = tf.reduce_any(texts != "", 1)
        codes = self.table.lookup(texts)
        known = tf.where(codes >= 0)
        pairs = tf.stack([tf.cast(known[:, 0], tf.int32), tf.gather_nd(codes, known)], 1)
        # For each request and text, whether items with the text pass; the last column is for items
        # without a text.
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
                f"{which} allowed {name}; NaN is no limit",
            )
            for end, which in (("min", "lowest"), ("max", "highest"))
        )

    def __call__(self, lowest, highest) -> Restriction:
        lowest, highest = lowest[:, None], highest[:, None]

        def within(values):
            # Missing values are NaN, for which every comparison is False.
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
        return (Tensor(name, "bool", "[B]", f"True: only items with {name}; False is no filter"),)

    def __call__(self, wanted) -> Restriction:
        return Restriction(
            tf.reduce_any(wanted),
            lambda: self.flags[None] | ~wanted[:, None],
            lambda rows: tf.gather(self.flags.read_value(), rows) | ~wanted[:, None],
        )


_KINDS = {"text": _Texts, "number": _Numbers, "flag": _Flags}
