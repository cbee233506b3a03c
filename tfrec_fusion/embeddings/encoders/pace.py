"""A rate limiter shared by threads."""

import threading
import time
from collections.abc import Callable


class Pace:
    """Limits requests and tokens per minute: gives the delay of each request.

    Requests are spaced evenly, each by its share of the allowed minute, so that no burst hits the
    server's limit. `pause` delays all threads, e.g. after the server rejects a request.

    Args:
      requests_per_minute, tokens_per_minute: the limits; None for no limit.
      clock: returns seconds from any start.

    Example:
      >>> pace = Pace(requests_per_minute=60, clock=lambda: 0.0)
      >>> [pace.delay(tokens=10) for _ in range(3)]
      [0.0, 1.0, 2.0]
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._requests, self._tokens = requests_per_minute, tokens_per_minute
        self._clock = clock
        self._next = clock()
        self._guard = threading.Lock()

    def delay(self, tokens: float) -> float:
        """Reserves the next slot for a request; returns the seconds to wait until it."""
        with self._guard:
            now = self._clock()
            start = max(self._next, now)
            by_requests = 60.0 / self._requests if self._requests else 0.0
            by_tokens = 60.0 * tokens / self._tokens if self._tokens else 0.0
            self._next = start + max(by_requests, by_tokens)
            return start - now

    def pause(self, seconds: float) -> None:
        """Delays all further requests by at least `seconds` from now."""
        with self._guard:
            self._next = max(self._next, self._clock() + seconds)
