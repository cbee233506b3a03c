"""Texts that UTF-8 can hold, as files, tables of ids and requests need them."""

from __future__ import annotations

from collections.abc import Iterable

from tfrec_fusion.errors import InputError


def is_unicode(text: str) -> bool:
    """Whether the text is free of lone surrogates, such as half of an emoji that was cut in two.

    Example:
      >>> is_unicode("\\U0001f44d"), is_unicode("\\ud83d")
      (True, False)
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_unicode(texts: Iterable[str], what: str) -> None:
    """Refuses texts with lone surrogates.

    Args:
      texts: one a row.
      what: what they are, for messages: "items: column 'title'".

    Raises:
      InputError: says how many there are, and the first with its row.
    """
    texts = list(texts)
    if is_unicode("\0".join(texts)):  # 50 ms a million
        return
    bad = [row for row, text in enumerate(texts) if not is_unicode(text)]
    raise InputError(
        f"{what} has {len(bad)} values with half of a character (a lone surrogate, as of an emoji "
        f"that was cut in two), which UTF-8 cannot hold; cut texts between characters, or drop it "
        f"with .encode('utf-8', 'ignore').decode(). Received: {texts[bad[0]]!r} at row {bad[0]}"
    )
