"""Builds texts from items' fields and users' histories."""

import math
import string
from collections.abc import Mapping

import numpy as np
import pandas as pd

from tfrec_fusion.errors import InputError

_BRACKETS = {"(": ")", "[": "]", "{": "}", '"': '"', "“": "”", "«": "»"}
# Separators that are dropped before the first field of a text.
_SEPARATORS = " \t\n.,;:|/-\u2013\u2014\u00b7"


class TextTemplate:
    """A format string over fields that leaves out missing fields and the text around them.

    A field includes the text between it and the field before it, and a closing bracket or quotation
    mark right after it if its opening one is right before it. If the field is missing (None, NaN,
    empty or blank), all of this is left out. The first field that is present loses the separators
    before it. Text before the first field belongs to the first field; text after the last field is
    kept if any field is present. Lists are joined by commas, and white space within a value becomes
    single spaces.

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
          template: a string as for `str.format` with named fields, e.g. `"{title}. {description}"`;
            `{{` is a brace, `{price:.2f}` formats a number.

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
        """The text of one item; "" if all its fields are missing."""
        out = ""
        for place, (before, name, form, after) in enumerate(self._parts):
            text = _text(values.get(name), form)
            if text:
                late = place > 0 and not out
                out += (before.lstrip(_SEPARATORS) if late else before) + text + after
        return out + self._tail if out else ""

    def texts(self, frame: pd.DataFrame) -> np.ndarray:
        """`[n]` strings, one per row of the frame; "" if all fields are missing.

        Raises:
          InputError: the frame has no such column.
        """
        absent = [name for name in self.fields if name not in frame]
        if absent:
            raise InputError(
                f"template: the items have no column {absent[0]!r}; name an existing one. "
                f"Received: {self.template!r}, columns {list(frame.columns)}"
            )
        columns = [frame[name].tolist() for name in self.fields]
        rows = zip(*columns, strict=True)
        return np.array([self.of(dict(zip(self.fields, row, strict=True))) for row in rows], object)

    def profiles(
        self, frame: pd.DataFrame, history, last: int = 20, separator: str = "; "
    ) -> np.ndarray:
        """A text for each user: the joined texts of the items in the history, latest first.

        The latest come first since encoders truncate long texts. Use only the histories of the
        training interactions.

        Args:
          frame: the items, in catalogue order.
          history: `Interactions.histories()`: int64 `splits` `[users + 1]` and int32 `items`, in
            time order; -1 is skipped.
          last: most items per user, from the latest.
          separator: text between two items.

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
    """Parts (text before, field, format, text after) and the tail, from a parsed format string."""
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
    """A value as text without white space around it; "" if it is missing."""
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
