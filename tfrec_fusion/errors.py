"""The error for invalid input."""


class InputError(ValueError):
    """Invalid input: one line that names the field, the value received and the remedy.

    The command line prints it without a traceback and exits with status 2.
    """
