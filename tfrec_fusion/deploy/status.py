"""Errors of requests, with their gRPC and HTTP status codes."""

from __future__ import annotations

# name -> (number in gRPC and absl, HTTP status), as TF Serving maps them
_CODES = {
    "OK": (0, 200),
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "DATA_LOSS": (15, 500),
    "UNAUTHENTICATED": (16, 401),
}
_NAMES = {number: name for name, (number, _) in _CODES.items()}


class StatusError(Exception):
    """A request that cannot be answered.

    Args:
      code: name of a gRPC status, e.g. "NOT_FOUND".
      message: text for the client.
      http: HTTP status instead of the code's own, e.g. 413.

    Example:
      >>> StatusError("NOT_FOUND", "Servable not found for request: Latest(shop)").http
      404
    """

    def __init__(self, code: str, message: str, http: int | None = None):
        super().__init__(message)
        self.code, self.message = code, message
        self.number = _CODES[code][0]
        self.http = http or _CODES[code][1]

    @classmethod
    def of_number(cls, number: int, message: str) -> StatusError:
        """From the number of a code, as TensorFlow's errors have it."""
        return cls(_NAMES.get(number, "UNKNOWN"), message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def invalid(message: str) -> StatusError:
    """A `StatusError` of code INVALID_ARGUMENT."""
    return StatusError("INVALID_ARGUMENT", message)
