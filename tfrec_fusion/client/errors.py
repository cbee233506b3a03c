"""Errors of the serving client."""

from __future__ import annotations


class ServingError(Exception):
    """The server refused a request or did not answer.

    Attributes:
      code: a gRPC status name such as "UNAVAILABLE"; HTTP status codes are translated to these.
      attempts: number of attempts.
    """

    def __init__(self, code: str, message: str, attempts: int = 1):
        tries = f" after {attempts} tries" if attempts > 1 else ""
        super().__init__(f"{code}{tries}: {' '.join(message.split())}")
        self.code, self.attempts = code, attempts


class ServerUnavailable(ServingError):  # noqa: N818 - named after the condition
    """The server is down, busy or closed the connection: UNAVAILABLE, RESOURCE_EXHAUSTED."""


class DeadlineExceeded(ServingError):  # noqa: N818
    """The server did not answer in time: DEADLINE_EXCEEDED."""


class ModelNotFound(ServingError):  # noqa: N818
    """The server has no such model, version or label, or is still loading it: NOT_FOUND."""


class Unauthenticated(ServingError):  # noqa: N818
    """The API key is missing or wrong: UNAUTHENTICATED (HTTP 401)."""


class RequestRefused(ServingError):  # noqa: N818
    """The request is invalid: INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE."""


_CLASSES = {
    "UNAVAILABLE": ServerUnavailable,
    "RESOURCE_EXHAUSTED": ServerUnavailable,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "NOT_FOUND": ModelNotFound,
    "UNAUTHENTICATED": Unauthenticated,
    "INVALID_ARGUMENT": RequestRefused,
    "FAILED_PRECONDITION": RequestRefused,
    "OUT_OF_RANGE": RequestRefused,
}


# TF Serving's error for a merged run that never started because one request's deadline passed.
_ABANDONED = "Missing 0-th output from"


def serving_error(code: str, message: str, attempts: int = 1) -> ServingError:
    """Builds the `ServingError` subclass of a gRPC status name."""
    if code == "INTERNAL" and _ABANDONED in message:
        code = "UNAVAILABLE"
    return _CLASSES.get(code, ServingError)(code, message, attempts)
