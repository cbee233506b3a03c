"""Splits texts into words by replacing characters, in Python and from a table in a graph."""

from __future__ import annotations

import functools
import unicodedata

import numpy as np

LIMIT = 0x20000
"""Code points from here on are in no table; see `Tokenizer`."""

WIDTH = 3
"""Most characters that replace one."""

IDEOGRAPHS = range(LIMIT, 0x32400)
"""The only letters beyond the table: Chinese ideographs."""

# Scripts that put no spaces between words: Thai and Lao, Myanmar, Khmer, kana, Chinese ideographs.
_UNSPACED = (
    range(0x0E00, 0x0F00),
    range(0x1000, 0x10A0),
    range(0x1780, 0x1800),
    range(0x3041, 0x3100),
    range(0x31F0, 0x3200),
    range(0x3400, 0x4DC0),
    range(0x4E00, 0xA000),
    range(0xF900, 0xFB00),
    IDEOGRAPHS,
)
_HANGUL = range(0xAC00, 0xD7A4)
_SIGNS = (0, 7, 9)  # combining classes of marks that spell a word, e.g. vowels in Hindi
_APOSTROPHES = "'’ʼ"  # noqa: RUF001
_SPELT = dict(
    zip("ßæœøđðłıςþ", ("ss", "ae", "oe", "o", "d", "d", "l", "i", "σ", "th"), strict=True)  # noqa: RUF001
)


class Tokenizer:
    """Splits texts into words, by a replacement of at most three characters for each character.

    So a table of replacements in a graph gives the same words as Python does.

    With `fold`, for search: letters are in lower case and without accents ("Café" is "cafe", "ß"
    is "ss"), other forms of letters and digits are the plain ones ("２" is "2"), apostrophes and
    invisible characters are left out ("mother's" is "mothers"), and letters of scripts without
    spaces between words (Chinese, Japanese kana, Thai, Lao, Khmer, Burmese) are words of their own.
    Any other character that is no letter, digit or vowel sign ends a word. Without `fold`: lower
    case alone, and a word consists of letters, digits and "_".

    Args:
      fold: see above.

    Example:
      >>> Tokenizer().words("2 CAFÉ-Tassen: Mother's")
      ['2', 'cafe', 'tassen', 'mothers']
      >>> Tokenizer(fold=False).words("2 CAFÉ-Tassen")
      ['2', 'café', 'tassen']
    """

    def __init__(self, fold: bool = True):
        self.fold = fold
        self._replacements = _Replacements(fold)

    def words(self, text: str) -> list[str]:
        """The words of a text, in their order."""
        return text.translate(self._replacements).split()

    @property
    def table(self) -> np.ndarray:
        """`[LIMIT, WIDTH]` int32: the code points that replace each one, 0 for none."""
        return _table(self.fold)


def trigrams(word: str) -> list[str]:
    """The distinct character trigrams of a word with a space before and after it.

    Example:
      >>> trigrams("mug")
      [' mu', 'mug', 'ug ']
    """
    padded = f" {word} "
    return list(dict.fromkeys(padded[i : i + 3] for i in range(len(padded) - 2)))


class _Replacements(dict):
    """Code point -> text, for `str.translate`."""

    def __init__(self, fold: bool):
        super().__init__()
        self._replaced = _folded if fold else _lowered

    def __missing__(self, code: int) -> str:
        found = self[code] = self._replaced(chr(code))
        return found


@functools.cache
def _table(fold: bool) -> np.ndarray:
    table, replacements = np.zeros((LIMIT, WIDTH), np.int32), _Replacements(fold)
    for code in range(LIMIT):
        text = replacements[code]
        table[code, : len(text)] = [*map(ord, text)]
    return table


def _lowered(char: str) -> str:
    if ord(char) >= LIMIT:
        return char if ord(char) in IDEOGRAPHS else " "
    return "".join(one if one.isalnum() or one == "_" else " " for one in char.lower())


def _folded(char: str) -> str:
    if ord(char) >= LIMIT:
        return f" {char} " if ord(char) in IDEOGRAPHS else " "
    if char in _APOSTROPHES or unicodedata.category(char) == "Cf":
        return ""
    plain = char.lower()
    if ord(char) not in _HANGUL:
        plain = unicodedata.normalize("NFKD", plain).lower()
    kept = "".join(map(_kept, plain))
    if any(ord(one) in script for one in kept for script in _UNSPACED):
        kept = f" {kept} "
    if len(kept) > WIDTH:
        return char if char.isalnum() else " "
    return kept


def _kept(char: str) -> str:
    char = _SPELT.get(char, char)
    if unicodedata.category(char[0])[0] == "M":
        unspaced = any(ord(char) in script for script in _UNSPACED)
        return "" if unspaced or unicodedata.combining(char) not in _SIGNS else char
    return "".join(one if one.isalnum() else " " for one in char)
