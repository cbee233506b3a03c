from types import SimpleNamespace

import numpy as np
import pytest

from tfrec_fusion.server.page.shares import explain_inputs, explains, shares

OUTPUTS = {
    "bias": np.array([[0.25, 0.25, 0.0]], np.float32),
    "score": np.array([[2.0, -1.0, 0.0]], np.float32),
    "share_context": np.array([[0.5, 0.25, 0.0]], np.float32),
    "share_id": np.array([[1.0, -2.0, 0.0]], np.float32),
    "share_text": np.array([[0.25, 0.5, 0.0]], np.float32),
}


def test_shares_and_what_rules_add():
    # The second score is 1.5 above the model's; the answer is wider than what was asked for.
    found = shares(OUTPUTS, [2.00001, 0.5])
    assert [list(item) for item in found] == [
        ["id", "text", "context", "bias"],
        ["id", "text", "context", "bias", "rules"],
    ]
    assert found[0]["id"] == 1.0
    assert found[1] == {"id": -2.0, "text": 0.5, "context": 0.25, "bias": 0.25, "rules": 1.5}


def test_the_same_user_is_asked_for_the_items():
    asked = {"user_id": np.array([b"u"]), "history": np.array([[b"a"]]), "k": np.array([2])}
    asked["user_age"] = np.array([31.0])
    found = explain_inputs(asked, ["käse", "b"], ["history", "item_id", "user_age", "user_id"])
    assert list(found) == ["history", "item_id", "user_age", "user_id"]
    assert found["user_age"].tolist() == [31.0]
    assert found["item_id"].tolist() == [["käse".encode(), b"b"]]


@pytest.mark.parametrize(
    ("inputs", "outputs", "does"),
    [
        (["user_id", "history", "item_id"], OUTPUTS, True),
        (["user_id", "item_id"], OUTPUTS, False),
        (["user_id", "history", "item_id"], ["score"], False),
        (["user_id", "history", "item_id", "user_age"], OUTPUTS, True),
        (["user_id", "history", "item_id", "more"], OUTPUTS, False),
    ],
)
def test_a_signature_of_another_program(inputs, outputs, does):
    recommend = SimpleNamespace(inputs=["user_id", "history", "k", "user_age"])
    found = SimpleNamespace(inputs=inputs, outputs=outputs)
    assert explains({"explain": found, "recommend": recommend}) is does
    assert not explains({})
