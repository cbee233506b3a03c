import base64

import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.serving.server.api_key import ApiKey

KEY = ApiKey("s3cret: käse".encode("ascii", "ignore").decode())


def basic(text):
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("headers", "matches"),
    [
        ([("x-api-key", "s3cret: kse")], True),
        ([("x-api-key", b"s3cret: kse")], True),
        ([("authorization", "Bearer s3cret: kse")], True),
        ([("authorization", "bearer  s3cret: kse")], True),
        ([("accept", "*"), ("authorization", basic("anyone:s3cret: kse"))], True),
        ([("x-api-key", "wrong"), ("authorization", "Bearer s3cret: kse")], True),
        ([], False),
        ([("x-api-key", "")], False),
        ([("x-api-key", "s3cret")], False),
        ([("x-api-key", "s3cret: kse ")], False),
        ([("x-api-key", "ü")], False),
        ([("cookie", "s3cret: kse")], False),
        ([("authorization", "s3cret: kse")], False),
        ([("authorization", "Basic !")], False),
        ([("authorization", basic("s3cret"))], False),
    ],
)
def test_who_may_ask(headers, matches):
    assert KEY.matches(headers) is matches


@pytest.mark.parametrize("key", ["", " x", "käse"])
def test_keys_that_are_refused(key):
    with pytest.raises(InputError, match="the API key must be ASCII"):
        ApiKey(key)
