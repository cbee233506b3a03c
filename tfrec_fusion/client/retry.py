"""Trying again what may work the next time."""

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
    """What `call` returns, called again while it raises what may work the next time.

    Between tries it waits `backoff` seconds, then twice that and so on, each time a random part of
    it between half and all, so that many clients do not come back at once. One deadline holds for
    all tries together; no other error is tried again.

    Args:
      call: takes the seconds that are left.
      timeout: seconds for everything.
      retries: tries after the first.
      loading: whether `ModelNotFound` is tried again, as `ServerUnavailable` always is.

    Raises:
      ServingError: the last one, with the number of tries.
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
