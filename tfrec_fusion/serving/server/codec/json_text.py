"""JSON as TF Serving's parser takes it."""

from __future__ import annotations

import json
import math
import re

from tfrec_fusion.serving.server.codec.debug_text import debug_text
from tfrec_fusion.serving.server.status import StatusError, invalid

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BOM = "\ufeff"
# of Python's parser -> of TF Serving's
_REASONS = (
    ("Expecting property name", "Missing a name for object member."),
    ("Expecting ':'", "Missing a colon after a name of object member."),
    ("Unterminated string", "Missing a closing quotation mark in string."),
    ("Invalid control character", "Invalid encoding in string."),
    ("Invalid \\escape", "Invalid escape character in string."),
    ("Invalid \\uXXXX", "Incorrect hex digit after \\u escape in string."),
)
_TOO_BIG = "Number too big to be stored in double."


def parse_object(body: bytes) -> dict:
    """The JSON object at the start of `body`; what follows it is not read.

    Numbers may be NaN, Infinity and -Infinity. Bytes that are not UTF-8 come as lone surrogates, as
    the error handler "surrogateescape" of Python makes them.

    Raises:
      StatusError: INVALID_ARGUMENT, with the reason and the byte where it is.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        text, whole = body.decode(), True
    except UnicodeDecodeError:
        text, whole = body.decode("utf-8", "surrogateescape"), False
    start = _SPACE.match(text, len(_BOM) if text.startswith(_BOM) else 0).end()
    if start == len(text):
        raise _error("The document is empty.", len(body))
    try:
        value, _ = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise _error(_reason(error, text), _bytes(text[: error.pos])) from None
    except RecursionError:
        raise too_deep() from None
    except ValueError:
        # An integer of thousands of digits.
        raise _error(_TOO_BIG, 0) from None
    if _HALF_PAIR.search(text) and not _pairs_are_whole(text, whole):
        raise _error("The surrogate pair in string is invalid.", 0)
    if not isinstance(value, dict):
        raise invalid(f"JSON Value: {debug_text(value)} Is not object")
    return value


def too_deep() -> StatusError:
    """Of lists in lists beyond what can be read; TF Serving has no such bound."""
    return invalid("JSON Parse error: The document is nested too deeply.")


def check_finite(value: float, literal: bool) -> None:
    """Refuses an infinity that was written in digits.

    Args:
      literal: whether the document holds the word for it.
    """
    if math.isinf(value) and not literal:
        raise _error(_TOO_BIG, 0)


def _error(reason: str, offset: int) -> StatusError:
    return invalid(f"JSON Parse error: {reason} at offset: {offset}")


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _reason(error: json.JSONDecodeError, text: str) -> str:
    for start, reason in _REASONS:
        if error.msg.startswith(start):
            return reason
    if error.msg.startswith("Expecting ',' delimiter"):
        if _inside_list(text[: error.pos]):
            return "Missing a comma or ] after an array element."
        return "Missing a comma or } after an object member."
    return "Invalid value."


def _inside_list(text: str) -> bool:
    brackets = re.sub(r"[^\[\]{}]", "", _STRING.sub("", text))
    open_ones = []
    for bracket in brackets:
        if bracket in "[{":
            open_ones.append(bracket)
        elif open_ones:
            open_ones.pop()
    return bool(open_ones) and open_ones[-1] == "["


def _pairs_are_whole(text: str, whole: bool) -> bool:
    """Whether each escaped surrogate has its other half."""
    for match in _STRING.finditer(text):
        if not _HALF_PAIR.search(match[0]):
            continue
        # Only what is escaped counts here, not bytes that were no UTF-8.
        found = match[0] if whole else re.sub("[\udc80-\udcff]", "?", match[0])
        try:
            json.loads(found, strict=False).encode()
        except UnicodeEncodeError:
            return False
        except ValueError:
            continue
    return True
