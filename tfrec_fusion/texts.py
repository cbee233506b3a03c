"""Checks that strings can be encoded as UTF-8."""

from __future__ import annotations

from collections.abc import Iterable

from tfrec_fusion.errors import InputError


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can encode the text: it has no lone surrogate, e.g. half of an emoji.

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
    """Checks that texts have no lone surrogates.

    Args:
      texts: one text per row.
      what: what they are, for error messages: "items: column 'title'".

    Raises:
      InputError: some have; the message gives their number and the first one with its row.
    """
    texts = list(texts)
    if is_unicode("\0".join(texts)):  # 50 ms per million texts
        return
    bad = [row for row, text in enumerate(texts) if not is_unicode(text)]
    raise InputError(
        f"{what} has {len(bad)} values with half of a character (a lone surrogate, e.g. of a cut "
        f"emoji), which UTF-8 cannot encode; cut texts between characters, or drop it with "
        f".encode('utf-8', 'ignore').decode(). Received: {texts[bad[0]]!r} at row {bad[0]}"
    )
