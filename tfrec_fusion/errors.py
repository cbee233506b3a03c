"""The error that tells a user what to change."""


class InputError(ValueError):
    """Bad input at the boundary: one line that names the field, the value received and the remedy.

    The command line prints it without a traceback and exits with status 2.
    """
