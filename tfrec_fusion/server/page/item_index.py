"""Item titles, ids and columns of a version, to show and to search."""

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
    """Searchable index of a version's items; empty if the version has no item file.

    Args:
      version: the version's folder.

    Attributes:
      users: known user ids, or None if the version does not list them.

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
        # One string with a line per item, most popular first, so that str.find does the search.
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
        """Names of the item columns besides id and title, i.e. those of the filters."""
        return list(self._columns)

    def __len__(self) -> int:
        return len(self._ids)

    def titles(self, item_ids: Sequence[str]) -> list[str]:
        """Titles of items; "" for an unknown item."""
        rows = self._ids.rows(np.array(item_ids, object))
        return [self._titles[row] if row >= 0 else "" for row in rows]

    def shown(self, item_ids: Sequence[str]) -> list[dict[str, str]]:
        """Column -> text for each item; {} for an unknown item, "" for a missing value."""
        rows = self._ids.rows(np.array(item_ids, object))
        return [
            {name: _shown(values[row]) for name, values in self._columns.items() if row >= 0}
            for row in rows
        ]

    def unknown(self, item_ids: Sequence[str]) -> list[str]:
        """The ids that the version does not know; empty if it has no item file."""
        if not len(self):
            return []
        rows = self._ids.rows(np.array(item_ids, object))
        return [item for item, row in zip(item_ids, rows, strict=True) if row < 0]

    def search(self, text: str, limit: int = 10) -> list[dict]:
        """Finds items whose title and id contain all words of `text`, ignoring accents and case.

        The item with that exact id comes first, then titles that start with the text, then titles
        in which a word starts with it, then the rest, each group by popularity. Only the 1000 most
        popular matches are ranked.

        Returns:
          Dicts with `item_id`, `title` and `events`.
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
        """Positions, in order of popularity, of the items that contain all words."""
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
    """The index of a version's folder, cached for the last few versions."""
    items = version / _ITEMS
    changed = items.stat().st_mtime_ns if items.is_file() else 0
    return _made(version, changed)


@lru_cache(maxsize=4)
def _made(version: Path, changed: int) -> ItemIndex:
    return ItemIndex(version)


def folded_words(text: str) -> list[str]:
    """Splits a text into words without accents and case, as the search compares them."""
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
    """Reads at most `most` lines of a text file; [] if the file does not exist."""
    if not path.is_file():
        return []
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n") for line, _ in zip(file, range(most), strict=False)]
