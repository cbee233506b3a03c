"""Requests at no more than an allowed rate, shared by threads."""

import threading
import time
from collections.abc import Callable


class Pace:
    """Says how long each request has to wait.

    Requests are spread evenly: each takes the time that its share of the minute's allowance is, so
    no burst runs into the server's limit. `pause` holds back all threads after a refusal.

    Args:
      requests_per_minute, tokens_per_minute: the allowances; None for no limit.
      clock: seconds, from any start.

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
        """Seconds that a request of so many tokens has to wait from now; its time is then taken."""
        with self._guard:
            now = self._clock()
            start = max(self._next, now)
            by_requests = 60.0 / self._requests if self._requests else 0.0
            by_tokens = 60.0 * tokens / self._tokens if self._tokens else 0.0
            self._next = start + max(by_requests, by_tokens)
            return start - now

    def pause(self, seconds: float) -> None:
        """No request starts within the next seconds."""
        with self._guard:
            self._next = max(self._next, self._clock() + seconds)
