"""Parses JSON as leniently and as strictly as TF Serving's parser."""

from __future__ import annotations

import json
import math
import re

from tfrec_fusion.deploy.status import StatusError, invalid

_MAX_DIGITS = 309  # of the largest float64
_PLAIN = json.JSONDecoder()
# Used to find documents with possibly too large numbers; only these need the slower parser.
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_MANY_DIGITS, _LARGE_EXPONENT = b"0" * 200, re.compile(rb"e\+?000")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# A high surrogate without a low one behind it, or a low one without a high one before it.
_LONE_SURROGATE = re.compile(
    r"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])"
)


def parse_object(body: bytes) -> dict:
    """Parses the JSON object at the start of `body` in linear time; ignores what follows it.

    Numbers may be NaN, Infinity and -Infinity. Bytes that are not UTF-8 become lone surrogates, as
    with Python's error handler "surrogateescape". If an object has a name twice, the last value
    wins.

    Raises:
      StatusError: INVALID_ARGUMENT; invalid JSON, nested too deeply, a number beyond float64, half
        of a surrogate pair, or a value other than an object.
    """
    text = body.decode("utf-8-sig", "surrogateescape").lstrip(" \t\n\r")
    if not text:
        raise _error("the document is empty")
    try:
        value, end = (_CAREFUL if _may_be_too_big(body) else _PLAIN).raw_decode(text)
    except json.JSONDecodeError as error:
        raise _error(f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise _error("the document is nested too deeply") from None
    if _SURROGATE.search(text):
        # After blanking escaped backslashes, each backslash left starts an escape sequence.
        escapes = text[:end].replace("\\\\", "  ")
        if _LONE_SURROGATE.search(escapes):
            raise _error("half of a surrogate pair in a string")
    if not isinstance(value, dict):
        raise invalid(f"the body must be a JSON object. Received: {shown(value)}")
    return value


def shown(value) -> str:
    """Shows a JSON value in an error message: its type, and scalars with their (cut) value.

    Example:
      >>> shown("x" * 100), shown([1, 2])
      ('String "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."', 'Array')
    """
    if value is None:
        return "Null"
    if isinstance(value, (dict, list)):
        return "Object" if isinstance(value, dict) else "Array"
    if isinstance(value, str):
        start = value[:40].encode("utf-8", "replace").decode()
        return f'String "{start}{"..." if len(value) > 40 else ""}"'
    return f"{'Boolean' if isinstance(value, bool) else 'Number'} {json.dumps(value)}"


def _error(reason: str) -> StatusError:
    return invalid(f"JSON Parse error: {reason}")


def _may_be_too_big(body: bytes) -> bool:
    """False only if all numbers have under 200 digits and exponents of at most two digits."""
    zeros = body.translate(_DIGITS_AS_ZEROS)
    return _MANY_DIGITS in zeros or _LARGE_EXPONENT.search(zeros) is not None


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > _MAX_DIGITS or math.isinf(float(text)):
        raise _error("a number is too big to be stored in double")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _error("a number is too big to be stored in double")
    return value


_CAREFUL = json.JSONDecoder(parse_int=_integer, parse_float=_float)
