import pytest

from tfrec_fusion.client.errors import (
    ModelNotFound,
    RequestRefused,
    ServerUnavailable,
    serving_error,
)
from tfrec_fusion.client.retry import with_retries


class Clock:
    """Time that passes only in sleep, and a call that ends with each of some codes in turn."""

    def __init__(self, *codes):
        self.now, self.codes, self.pauses, self.left = 0.0, list(codes), [], []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds

    def call(self, left):
        self.left.append(left)
        code = self.codes.pop(0)
        if code != "OK":
            raise serving_error(code, "no")
        return "answer"


def _run(clock, **options):
    timing = {"timeout": 100.0, "retries": 3, "backoff": 1.0} | options
    return with_retries(clock.call, **timing, sleep=clock.sleep, clock=clock)


def test_pauses_grow():
    clock = Clock("UNAVAILABLE", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "OK")
    assert _run(clock) == "answer"
    for pause, longest in zip(clock.pauses, (1, 2, 4), strict=True):
        assert longest / 2 <= pause <= longest
    # The deadline is one for all tries.
    assert clock.left[0] == 100
    assert clock.left[3] == pytest.approx(100 - sum(clock.pauses))


def test_after_the_last_try_it_raises():
    clock = Clock(*["UNAVAILABLE"] * 9)
    with pytest.raises(ServerUnavailable, match="UNAVAILABLE after 4 tries: no"):
        _run(clock)
    assert len(clock.pauses) == 3


def test_a_pause_past_the_deadline_is_not_waited_for():
    clock = Clock(*["UNAVAILABLE"] * 9)
    with pytest.raises(ServerUnavailable, match="after 2 tries"):
        _run(clock, timeout=1.5)
    assert clock.now < 1.5


def test_a_run_that_another_requests_deadline_ended_is_tried_again():
    error = serving_error("INTERNAL", "Missing 0-th output from {{node cond/BatchFunction}}")
    assert isinstance(error, ServerUnavailable)


def test_what_is_loading_is_tried_again_where_it_may_be():
    clock = Clock("NOT_FOUND", "NOT_FOUND", "OK")
    assert _run(clock, loading=True) == "answer"
    with pytest.raises(ModelNotFound):
        _run(Clock("NOT_FOUND", "OK"))


def test_other_errors_are_raised_at_once():
    clock = Clock("UNAVAILABLE", "INVALID_ARGUMENT", "OK")
    with pytest.raises(RequestRefused, match="INVALID_ARGUMENT after 2 tries"):
        _run(clock)
    assert clock.codes == ["OK"]
