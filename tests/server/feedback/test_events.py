import json

import pytest

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.server.codec.json_response import error_body
from tfrec_fusion.server.feedback.events import read_events

CLICK = {
    "kind": "click",
    "model": "shop",
    "version": 2,
    "user_id": "u",
    "item_id": "i",
    "position": 1,
}


@pytest.mark.parametrize("field", ["kind", "model", "user_id", "item_id", "request_id", "\ud83d"])
def test_half_a_surrogate_pair_is_refused(field):
    body = json.dumps({"events": [CLICK, {**CLICK, field: "a\ud83d"}]}).encode()
    with pytest.raises(StatusError, match="event 1") as caught:
        read_events(body)
    assert caught.value.http == 400
    assert json.loads(error_body(caught.value.message))["error"] == caught.value.message
