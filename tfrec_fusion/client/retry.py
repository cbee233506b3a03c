"""Retries of transient failures with exponential backoff."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from tfrec_fusion.client.errors import (
    ModelNotFound,
    ServerUnavailable,
    ServingError,
    serving_error,
)

_Answer = TypeVar("_Answer")


def with_retries(
    call: Callable[[float], _Answer],
    *,
    timeout: float,
    retries: int,
    backoff: float,
    loading: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> _Answer:
    """Calls `call`, retries transient failures, and returns its result.

    The pause starts at `backoff` seconds and doubles after each attempt; each is scaled by a random
    factor between 0.5 and 1, so that many clients do not retry at once. One deadline covers all
    attempts. Other errors are not retried.

    Args:
      call: takes the seconds left.
      timeout: seconds for all attempts and pauses.
      retries: further attempts after the first.
      loading: retry `ModelNotFound` too, as `ServerUnavailable` always is.

    Raises:
      ServingError: the last error, with the number of attempts.
    """
    again = (ServerUnavailable, ModelNotFound) if loading else (ServerUnavailable,)
    end = clock() + timeout
    for attempt in range(1, retries + 2):
        try:
            return call(max(end - clock(), 1e-3))
        except again as error:
            pause = backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1)
            if attempt > retries or clock() + pause >= end:
                raise _again(error, attempt) from error.__cause__
            sleep(pause)
        except ServingError as error:
            raise _again(error, attempt) from error.__cause__
    raise AssertionError


def _again(error: ServingError, attempts: int) -> ServingError:
    message = str(error).partition(": ")[2]
    return serving_error(error.code, message, attempts)
