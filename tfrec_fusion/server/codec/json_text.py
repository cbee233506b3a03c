"""A JSON object as TF Serving's parser takes it."""

from __future__ import annotations

import json
import math
import re

from tfrec_fusion.deploy.status import StatusError, invalid

_MAX_DIGITS = 309  # of the largest float64
_PLAIN = json.JSONDecoder()
# Only documents in which a number may be too big are read with a function call a number.
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_MANY_DIGITS, _LARGE_EXPONENT = b"0" * 200, re.compile(rb"e\+?000")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# A high surrogate without a low one behind it, or a low one without a high one before it.
_LONE_SURROGATE = re.compile(
    r"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])"
)


def parse_object(body: bytes) -> dict:
    """The JSON object at the start of `body`; what follows it is not read. Takes linear time.

    Numbers may be NaN, Infinity and -Infinity. Bytes that are not UTF-8 come as lone surrogates, as
    the error handler "surrogateescape" of Python makes them. Of a name that comes twice in an
    object the last counts.

    Raises:
      StatusError: INVALID_ARGUMENT; no JSON, nested too deeply, a number beyond float64, half of a
        surrogate pair, or no object.
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
        # Without escaped backslashes each backslash that is left begins an escape.
        escapes = text[:end].replace("\\\\", "  ")
        if _LONE_SURROGATE.search(escapes):
            raise _error("half of a surrogate pair in a string")
    if not isinstance(value, dict):
        raise invalid(f"the body must be a JSON object. Received: {shown(value)}")
    return value


def shown(value) -> str:
    """A JSON value in an error message: its kind, and its beginning where it is short enough.

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
    """False only where all numbers have less than 200 digits and an exponent of at most two."""
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
