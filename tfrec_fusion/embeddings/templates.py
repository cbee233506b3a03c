"""Texts from an item's fields, and from a user's history."""

import math
import string
from collections.abc import Mapping

import numpy as np
import pandas as pd

from tfrec_fusion.errors import InputError

_BRACKETS = {"(": ")", "[": "]", "{": "}", '"': '"', "“": "”", "«": "»"}
# What may stand before a field only if something stands before it.
_SEPARATORS = " \t\n.,;:|/-\u2013\u2014\u00b7"


class TextTemplate:
    """A format string over fields, in which missing fields drop out cleanly.

    A field owns the text between it and the field before it, and a closing bracket or quotation
    mark right after it whose opening one stands right before it; where the field is missing, that
    goes too. The first field that is there loses the separators before it. Text before the first
    field stays with the first field, and text after the last stays as long as any field is there.
    Missing are None, NaN and empty or blank text.
    Lists are joined by commas, and white space within a value becomes single spaces.

    Example:
      >>> template = TextTemplate("{title} by {author} ({year}). {description}")
      >>> template.of({"title": "Emma", "author": None, "year": 1815.0, "description": "A comedy."})
      'Emma (1815). A comedy.'
      >>> template.of({"description": "A comedy."})
      'A comedy.'
    """

    def __init__(self, template: str):
        """
        Args:
          template: as for `str.format`, with named fields: `"{title}. {description}"`, `{{` for a
            brace, `{price:.2f}` for a format.

        Raises:
          InputError: no field, a field without a name, unbalanced braces.
        """
        self.template = template
        try:
            parsed = list(string.Formatter().parse(template))
        except (ValueError, TypeError) as error:
            raise InputError(
                f"template: not a format string ({error}); write a brace as {{{{ or }}}}. "
                f"Received: {template!r}"
            ) from None
        self._parts, self._tail = _split(parsed)
        names = [name for _, name, *_ in self._parts]
        if not names or not all(name.isidentifier() for name in names):
            raise InputError(
                f"template: must name at least one field, each as {{field}}. Received: {template!r}"
            )
        self.fields = tuple(dict.fromkeys(names))

    def __repr__(self) -> str:
        return f"TextTemplate({self.template!r})"

    def of(self, values: Mapping[str, object]) -> str:
        """The text of one item; "" where all its fields are missing."""
        out = ""
        for place, (before, name, form, after) in enumerate(self._parts):
            text = _text(values.get(name), form)
            if text:
                late = place > 0 and not out
                out += (before.lstrip(_SEPARATORS) if late else before) + text + after
        return out + self._tail if out else ""

    def texts(self, frame: pd.DataFrame) -> np.ndarray:
        """`[n]` strings, one a row of the frame; "" where all fields are missing.

        Raises:
          InputError: the frame has no such column.
        """
        absent = [name for name in self.fields if name not in frame]
        if absent:
            raise InputError(
                f"template: the items have no column {absent[0]!r}; name one that is there. "
                f"Received: {self.template!r}, columns {list(frame.columns)}"
            )
        columns = [frame[name].tolist() for name in self.fields]
        rows = zip(*columns, strict=True)
        return np.array([self.of(dict(zip(self.fields, row, strict=True))) for row in rows], object)

    def profiles(
        self, frame: pd.DataFrame, history, last: int = 20, separator: str = "; "
    ) -> np.ndarray:
        """A text a user: those of the items of the user's history, the latest first.

        An encoder cuts off the end of a long text, so the latest come first. Take the history of
        the training interactions alone.

        Args:
          frame: the items, in the order of the catalogue.
          history: `Interactions.histories()`: int64 `splits` `[users + 1]` and int32 `items`, in
            time order; -1 is passed over.
          last: items of each user that count.
          separator: between two items.

        Returns:
          `[users]` strings; "" for a user without a history.
        """
        if last < 1:
            raise InputError(f"last: must be at least 1. Received: {last!r}")
        texts = self.texts(frame)
        profiles = np.empty(len(history.splits) - 1, object)
        for user, (start, stop) in enumerate(
            zip(history.splits[:-1], history.splits[1:], strict=True)
        ):
            items = history.items[max(start, stop - last) : stop][::-1]
            parts = (str(texts[item]) for item in items if item >= 0)
            profiles[user] = separator.join(part for part in parts if part)
        return profiles


def _split(parsed) -> tuple[list[tuple], str]:
    """Parts (text before, field, format, text after) and the tail, from what `parse` gives."""
    parts, rest = [], ""
    for literal, name, form, conversion in parsed:
        literal, rest = rest + literal, ""
        if parts and parts[-1][0] and literal:
            before, field, spec, _ = parts[-1]
            if _BRACKETS.get(before[-1]) == literal[0]:
                parts[-1] = (before, field, spec, literal[0])
                literal = literal[1:]
        if name is None:
            rest = literal
        else:
            parts.append((literal, name, (conversion, form), ""))
    return parts, rest


def _text(value, form) -> str:
    """A value as text without white space around it; "" where it is missing."""
    conversion, spec = form
    if isinstance(value, (list, tuple, set, np.ndarray)):
        value = ", ".join(filter(None, (_text(one, form) for one in value)))
        conversion, spec = None, ""
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, (float, np.floating)):
        if math.isnan(value):
            return ""
        if (
            not spec and math.isfinite(value) and value == math.trunc(float(value))
        ):  # a year in a column with missing values
            value = int(value)
    if conversion:
        value = string.Formatter().convert_field(value, conversion)
    return " ".join(format(value, spec).split())
