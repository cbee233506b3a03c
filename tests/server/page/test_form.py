from types import SimpleNamespace

import numpy as np
import pytest

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.deploy.tensor_slot import TensorSlot
from tfrec_fusion.server.page.form import Form

FLOAT, INT32, STRING, BOOL = 1, 3, 7, 10
SLOTS = {
    "exclude": TensorSlot(STRING, (None, None)),
    "category": TensorSlot(STRING, (None, None)),
    "user_id": TensorSlot(STRING, (None,)),
    "k": TensorSlot(INT32, (None,)),
    "price_max": TensorSlot(FLOAT, (None,)),
    "history_age": TensorSlot(FLOAT, (None, None)),
    "in_stock": TensorSlot(BOOL, (None,)),
}


def _signature(inputs, outputs=("item_id", "score")):
    return SimpleNamespace(inputs=inputs, outputs=dict.fromkeys(outputs))


@pytest.fixture
def form(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "filter_category.txt").write_text("tea\nkäse\n", encoding="utf-8")
    card = {
        "signatures": {
            "recommend": {
                "does": "the best",
                "inputs": {
                    "user_id": "string [B]: ids",
                    "k": "int32 [B]: how many",
                    "exclude": "string [B, E]: item ids",
                },
            }
        },
        "kinds": {"recommend": {"inputs": {"exclude": "item"}}},
    }
    return Form.of({"recommend": _signature(SLOTS)}, card, tmp_path)


def test_fields_come_in_the_order_of_the_card(form):
    fields = {field["name"]: field for field in form.fields}
    assert list(fields)[:2] == ["user_id", "k"]
    assert {name: field["kind"] for name, field in fields.items()} == {
        **{"user_id": "text", "k": "integer", "exclude": "items", "category": "texts"},
        **{"price_max": "number", "history_age": "numbers", "in_stock": "flag"},
    }
    assert fields["k"]["does"] == "how many"
    assert fields["category"]["choices"] == ["käse", "tea"]
    assert form.does == "the best"


def test_what_is_left_out_changes_nothing(form):
    arrays = form.arrays({})
    assert arrays["user_id"].tolist() == [b""]
    assert arrays["exclude"].tolist() == [[b""]]
    assert arrays["k"].tolist() == [10] and arrays["k"].dtype == np.int32
    assert np.isnan(arrays["price_max"]).all() and arrays["price_max"].dtype == np.float32
    assert arrays["in_stock"].tolist() == [False]
    assert np.isnan(arrays["history_age"]).tolist() == [[True]]


def test_values_of_one_user(form):
    arrays = form.arrays({"exclude": ["ä", "b"], "k": 3, "price_max": 2, "in_stock": True})
    assert arrays["exclude"].tolist() == [["ä".encode(), b"b"]]
    assert (arrays["k"][0], arrays["price_max"][0], arrays["in_stock"][0]) == (3, 2, True)
    ages = form.arrays({"history_age": [30, 2.5]})["history_age"]
    assert ages.tolist() == [[30, 2.5]] and ages.dtype == np.float32


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"user_id": 3}, "user_id must be a text. Received: 3"),
        ({"exclude": "a"}, "exclude must be a list of item ids. Received: 'a'"),
        ({"category": [1]}, "category must be a list of texts"),
        ({"k": 1.5}, "k must be a whole number"),
        ({"k": 2**31}, "k must be a whole number"),
        ({"price_max": "1"}, "price_max must be a number or null"),
        ({"price_max": 10**400}, "price_max must be a number or null"),
        ({"history_age": 3}, "history_age must be a list of numbers. Received: 3"),
        ({"history_age": ["3"]}, "history_age must be a list of numbers"),
        ({"in_stock": "yes"}, "in_stock must be true or false"),
        ([], "inputs must be an object"),
    ],
)
def test_a_wrong_value_is_named(form, given, says):
    with pytest.raises(StatusError, match=says):
        form.arrays(given)


def test_signatures_that_a_form_cannot_ask(tmp_path):
    def found(**signatures):
        return Form.of(signatures, {}, tmp_path)

    image = TensorSlot(FLOAT, (None, 8, 8))
    assert found() is None
    assert found(serving_default=_signature(SLOTS)) is None
    assert found(recommend=_signature({**SLOTS, "image": image})) is None
    assert found(recommend=_signature({"user_id": TensorSlot(STRING, None)})) is None
    assert found(recommend=_signature(SLOTS, ("item_id",))) is None
    scores = _signature({"item_id": TensorSlot(STRING, (None, None))}, ("score",))
    assert found(score=scores).signature == "score"


def test_a_text_is_a_question_to_the_search(tmp_path):
    query = {"query": TensorSlot(STRING, (None,)), "query_vector": TensorSlot(FLOAT, (None, None))}
    searched = query | {name: SLOTS[name] for name in ("user_id", "k", "category")}
    signatures = {"recommend": _signature(SLOTS), "search": _signature(searched)}
    form = Form.of(signatures, {}, tmp_path)
    names = [field["name"] for field in form.to_dict()["fields"]]
    assert names[0] == "query" and set(names[1:]) == set(SLOTS)
    given = {"user_id": "u", "exclude": ["a"], "category": ["tea"], "k": 2}
    assert form.question({**given, "query": ""}) == (form, given)
    asked, left = form.question({**given, "query": "mug"})
    assert asked.signature == "search"
    assert left == {"user_id": "u", "category": ["tea"], "k": 2, "query": "mug"}
    arrays = asked.arrays(left)
    assert arrays["query"].tolist() == [b"mug"] and np.isnan(arrays["query_vector"]).all()
    with pytest.raises(StatusError, match="unknown field 'colour'"):
        form.question({"query": "mug", "colour": "red"})
    # Without a search the field is as unknown as any other.
    plain = Form.of({"recommend": _signature(SLOTS)}, {}, tmp_path)
    with pytest.raises(StatusError, match="unknown field 'query'"):
        plain.question({"query": "mug"})[0].arrays({"query": "mug"})
