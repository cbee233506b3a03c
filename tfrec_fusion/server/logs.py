"""The server's log: one JSON object per line on standard error."""

from __future__ import annotations

import json
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import TextIO


class Log:
    """Logs events and requests, but never any content of a request.

    Args:
      requests: also write a line for each request.
      stream: where to write; standard error by default.

    Example:
      >>> Log(stream=sys.stdout)("available", model="shop", version=2)
      {"time": "...", "event": "available", "model": "shop", "version": 2}
    """

    def __init__(self, requests: bool = False, stream: TextIO | None = None):
        self.requests = requests
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()

    def __call__(self, event: str, **fields) -> None:
        """Writes an event with its fields."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "event": event, **fields}, default=str) + "\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()

    def request(self, entrypoint: str, model: str, method: str, status: str, seconds: float):
        """Writes a line for a request, if requests are logged."""
        if self.requests:
            milliseconds = round(seconds * 1000, 3)
            self(
                "request",
                entrypoint=entrypoint,
                model=model,
                method=method,
                status=status,
                ms=milliseconds,
            )

    def failure(self, where: str, error: BaseException) -> None:
        """Writes an unexpected error with its stack frames, but without its message."""
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        self("bug", where=where, error=type(error).__name__, at=places)
