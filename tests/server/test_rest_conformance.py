"""What TF Serving answers over REST, asked of the embedded server or of any address."""

import json
import math

import pytest
import urllib3
from rest_cases import PATH_CASES
from rest_tensor_cases import TENSOR_CASES

CASES = [*PATH_CASES, *TENSOR_CASES]


@pytest.fixture(scope="module")
def ask(addresses):
    if addresses.rest is None:
        pytest.skip("no REST address given")
    with urllib3.PoolManager() as pool:

        def ask(case):
            return pool.request(
                case.verb,
                addresses.rest + case.path,
                body=case.data if case.verb == "POST" else None,
                headers=dict(case.headers),
                timeout=20,
                retries=False,
            )

        yield ask


def test_there_are_enough_cases_and_no_name_twice():
    assert len({case.name for case in CASES}) == len(CASES) >= 80


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}: {case.name}")
def test_rest(ask, case):
    answer = ask(case)
    text = answer.data.decode()
    assert answer.status == case.status, text
    if case.verb != "OPTIONS" and case.path.lower().startswith("/v1"):
        assert answer.headers["Content-Type"] == "application/json"
    if case.error is not None:
        body = json.loads(text)
        assert list(body) == ["error"]
        assert case.error in body["error"]
    if case.text is not None:
        assert case.text in text
    if case.answer is not None:
        _same(json.loads(text), case.answer)


def _same(given, expected, path=""):
    """Equal up to the width of float32, and to the kind of number."""
    assert type(given) is type(expected) or {type(given), type(expected)} == {int, float}, path
    if isinstance(expected, dict):
        assert given.keys() == expected.keys(), path
        for key in expected:
            _same(given[key], expected[key], f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(given) == len(expected), path
        for position, pair in enumerate(zip(given, expected, strict=True)):
            _same(*pair, f"{path}[{position}]")
    elif isinstance(expected, float) and math.isfinite(expected):
        assert given == pytest.approx(expected, rel=1e-6), path
    else:
        assert given == expected, path
