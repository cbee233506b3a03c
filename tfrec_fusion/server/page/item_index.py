"""Titles and ids of a version, to show and to search."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from tfrec_fusion.data import Vocabulary

_ITEMS = "assets.extra/items.parquet"
_USERS = "assets/users.txt"
_MOST_COMPARED = 1000
_OWN = ("item_id", "title", "events")


class ItemIndex:
    """The items of a version; without its files nothing is known and nothing found.

    Args:
      version: the version's folder.

    Attributes:
      users: known user ids, or None where the version does not say.

    Example:
      >>> ItemIndex("saved_models/shop/1").search("thing 29")[0]["item_id"]
      'i29'
    """

    def __init__(self, version: str | os.PathLike):
        version = Path(version)
        try:
            frame = pd.read_parquet(version / _ITEMS)
        except OSError:
            frame = pd.DataFrame({"item_id": [], "title": []}, dtype=object)
        self._columns = {
            str(name): values.to_numpy() for name, values in frame.items() if name not in _OWN
        }
        self._ids = Vocabulary(frame["item_id"])
        self._titles = frame["title"].to_numpy(object)
        events = frame["events"] if "events" in frame else np.zeros(len(frame))
        self._events = np.asarray(events, np.int64)
        self._by_events = np.argsort(-self._events, kind="stable")
        # One text with a line an item, the most popular first: Python searches it at C's speed.
        lines = [
            f"{self._titles[row]} {self._ids.ids[row]}".replace("\n", " ")
            for row in self._by_events
        ]
        self._text = _folded("\n".join([*lines, ""]))
        lengths = [len(line) + 1 for line in self._text.split("\n")[:-1]]
        self._starts = np.cumsum([0, *lengths])
        users = version / _USERS
        self.users = Vocabulary.load(users) if users.is_file() else None

    @property
    def columns(self) -> list[str]:
        """What can be shown of an item beside its title: the columns of the filters."""
        return list(self._columns)

    def __len__(self) -> int:
        return len(self._ids)

    def titles(self, item_ids: Sequence[str]) -> list[str]:
        """ "" for an unknown item."""
        rows = self._ids.rows(np.array(item_ids, object))
        return [self._titles[row] if row >= 0 else "" for row in rows]

    def shown(self, item_ids: Sequence[str]) -> list[dict[str, str]]:
        """Column -> text of each item; {} for an unknown one, "" for a missing value."""
        rows = self._ids.rows(np.array(item_ids, object))
        return [
            {name: _shown(values[row]) for name, values in self._columns.items() if row >= 0}
            for row in rows
        ]

    def unknown(self, item_ids: Sequence[str]) -> list[str]:
        """Those that the version does not know."""
        if not len(self):
            return []
        rows = self._ids.rows(np.array(item_ids, object))
        return [item for item, row in zip(item_ids, rows, strict=True) if row < 0]

    def search(self, text: str, limit: int = 10) -> list[dict]:
        """Items whose title and id hold all words of `text`, accents and case left out.

        The item of that very id comes first, then titles that start with the text, then those in
        which a word starts with it, then all others; the most popular first in each. Of the items
        that hold the words the 1000 most popular are compared.
        """
        words = folded_words(text)
        wanted = " ".join(words)
        words = list(dict.fromkeys(words))
        exact = self._ids.rows(np.array([text], object))[0]
        found: list[list[int]] = [[exact] if exact >= 0 else [], [], [], []]
        for place in islice(self._places(words), _MOST_COMPARED):
            row, line = self._by_events[place], self._line(place)
            if row != exact:
                later = 2 if f" {wanted}" in line else 3
                found[1 if line.startswith(wanted) else later].append(row)
            if len(found[1]) >= limit:
                break
        rows = [row for group in found for row in group][:limit]
        return [
            {
                "item_id": self._ids.ids[row],
                "title": self._titles[row],
                "events": int(self._events[row]),
            }
            for row in rows
        ]

    def _line(self, place: int) -> str:
        return self._text[self._starts[place] : self._starts[place + 1] - 1]

    def _places(self, words: Sequence[str]) -> Iterator[int]:
        """Places by popularity of the items that hold all words."""
        if not words:
            yield from range(len(self))
            return
        rarest = min(words, key=self._text.count) if len(words) > 1 else words[0]
        at = self._text.find(rarest)
        while at >= 0:
            place = int(np.searchsorted(self._starts, at, "right")) - 1
            line = self._line(place)
            if all(word in line for word in words):
                yield place
            at = self._text.find(rarest, int(self._starts[place + 1]))


def item_index(version: Path) -> ItemIndex:
    """The index of a version's folder, made once for each of the last few."""
    items = version / _ITEMS
    changed = items.stat().st_mtime_ns if items.is_file() else 0
    return _made(version, changed)


@lru_cache(maxsize=4)
def _made(version: Path, changed: int) -> ItemIndex:
    return ItemIndex(version)


def folded_words(text: str) -> list[str]:
    """The words of a text as they are searched for, without accents and case."""
    return _folded(text).split()


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    marks = {ord(letter): None for letter in set(plain) if unicodedata.combining(letter)}
    return plain.translate(marks).casefold()


def _shown(value) -> str:
    if isinstance(value, np.ndarray | list | tuple):
        return ", ".join(_shown(one) for one in value)
    if pd.isna(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return np.format_float_positional(value, trim="-")
    return str(value)


def first_lines(path: Path, most: int) -> Iterable[str]:
    """At most so many lines of a text file; none where it is not there."""
    if not path.is_file():
        return []
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n") for line, _ in zip(file, range(most), strict=False)]
