"""The error for invalid input."""

from numbers import Integral


class InputError(ValueError):
    """Invalid input: one line that names the field, the value received and the remedy.

    The command line prints it without a traceback and exits with status 2.
    """


def check_whole_number(what: str, value: object, least: int = 1) -> None:
    """Raises InputError if `value` is not a whole number of `least` or more.

    Example:
      >>> check_whole_number("evaluate: k", 10)
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise InputError(f"{what} must be a whole number of {least} or more. Received: {value!r}")
