"""Titles and ids of a version, to show and to search."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from tfrec_fusion.data import Vocabulary

_ITEMS = "assets.extra/items.parquet"
_USERS = "assets/users.txt"


class ItemIndex:
    """The items of a version; without its files nothing is known and nothing found.

    Args:
      version: the version's folder.

    Attributes:
      users: known user ids, or None where the version does not say.

    Example:
      >>> ItemIndex("saved_models/shop/1").search("blue mug")  # doctest: +SKIP
      [{'item_id': 'P21729', 'title': 'Blue mug', 'events': 12}]
    """

    def __init__(self, version: str | os.PathLike):
        version = Path(version)
        try:
            frame = pd.read_parquet(version / _ITEMS)
        except OSError:
            frame = pd.DataFrame({"item_id": [], "title": []}, dtype=object)
        self._ids = Vocabulary(frame["item_id"])
        self._titles = frame["title"].to_numpy(object)
        events = frame["events"] if "events" in frame else np.zeros(len(frame))
        self._events = np.asarray(events, np.int64)
        self._by_events = np.argsort(-self._events, kind="stable")
        pairs = zip(self._titles, self._ids.ids, strict=True)
        self._folded = [_folded(f"{title} {item_id}") for title, item_id in pairs]
        users = version / _USERS
        self.users = Vocabulary.load(users) if users.is_file() else None

    def __len__(self) -> int:
        return len(self._ids)

    def titles(self, item_ids: Sequence[str]) -> list[str]:
        """ "" for an unknown item."""
        rows = self._ids.rows(np.array(item_ids, object))
        return [self._titles[row] if row >= 0 else "" for row in rows]

    def unknown(self, item_ids: Sequence[str]) -> list[str]:
        """Those that the version does not know."""
        if not len(self):
            return []
        rows = self._ids.rows(np.array(item_ids, object))
        return [item for item, row in zip(item_ids, rows, strict=True) if row < 0]

    def search(self, text: str, limit: int = 10) -> list[dict]:
        """Items whose title and id hold all words of `text`, accents and case left out.

        The item of that very id comes first, then titles that start with the text, then those in
        which a word starts with it, then all others; the most popular first in each.
        """
        wanted = _folded(text)
        words = wanted.split()
        exact = self._ids.rows(np.array([text], object))[0]
        found: list[list[int]] = [[exact] if exact >= 0 else [], [], [], []]
        for row in self._by_events:
            candidate = self._folded[row]
            if row != exact and all(word in candidate for word in words):
                later = 2 if f" {wanted}" in candidate else 3
                found[1 if candidate.startswith(wanted) else later].append(row)
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


def item_index(version: Path) -> ItemIndex:
    """The index of a version's folder, made once for each of the last few."""
    items = version / _ITEMS
    changed = items.stat().st_mtime_ns if items.is_file() else 0
    return _made(version, changed)


@lru_cache(maxsize=4)
def _made(version: Path, changed: int) -> ItemIndex:
    return ItemIndex(version)


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()


def first_lines(path: Path, most: int) -> Iterable[str]:
    """At most so many lines of a text file; none where it is not there."""
    if not path.is_file():
        return []
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n") for line, _ in zip(file, range(most), strict=False)]
