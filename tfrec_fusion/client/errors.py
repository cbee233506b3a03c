"""What can go wrong when a server is asked."""

from __future__ import annotations


class ServingError(Exception):
    """The server's refusal or silence.

    Attributes:
      code: a gRPC status name such as "UNAVAILABLE"; REST's numbers are translated to them.
      attempts: how often was tried.
    """

    def __init__(self, code: str, message: str, attempts: int = 1):
        tries = f" after {attempts} tries" if attempts > 1 else ""
        super().__init__(f"{code}{tries}: {' '.join(message.split())}")
        self.code, self.attempts = code, attempts


class ServerUnavailable(ServingError):  # noqa: N818 - it says what is the case
    """No answer, a closed connection, or a server that is busy: UNAVAILABLE, RESOURCE_EXHAUSTED."""


class DeadlineExceeded(ServingError):  # noqa: N818
    """No answer in time: DEADLINE_EXCEEDED."""


class ModelNotFound(ServingError):  # noqa: N818
    """No such model, version or label there, or it is loading: NOT_FOUND."""


class Unauthenticated(ServingError):  # noqa: N818
    """The API key is missing or wrong: UNAUTHENTICATED (HTTP 401)."""


class RequestRefused(ServingError):  # noqa: N818
    """The request does not suit the model: INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE."""


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


# What is left of a run that requests shared where the deadline of one passed before it began.
_ABANDONED = "Missing 0-th output from"


def serving_error(code: str, message: str, attempts: int = 1) -> ServingError:
    """The error of a gRPC status name."""
    if code == "INTERNAL" and _ABANDONED in message:
        code = "UNAVAILABLE"
    return _CLASSES.get(code, ServingError)(code, message, attempts)
