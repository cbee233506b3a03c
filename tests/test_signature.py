"""Signatures as data: cards, kinds, neutral values, and what the documents say of them."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.export.signatures import CATALOGUE_SIGNATURES, RANKER_SIGNATURES
from tfrec_fusion.export.signatures.recommend import REQUEST_INPUTS
from tfrec_fusion.export.signatures.tensors import (
    COUNT,
    HISTORY_AGE,
    QUERY,
    QUERY_VECTOR,
    USER,
)
from tfrec_fusion.signature import Signature, Tensor, card_entries, neutral

DOCS = Path(__file__).parents[1] / "docs" / "serving.md"
# What describing reads of an export: one without filters, of ids and texts, and a context of none.
SERVED = SimpleNamespace(
    filters=SimpleNamespace(inputs=()),
    request_inputs=REQUEST_INPUTS,
    age_inputs=(HISTORY_AGE,),
    feature_inputs=(),
    similar=None,
    audience=None,
    searching=SimpleNamespace(inputs=(QUERY, QUERY_VECTOR, USER, COUNT)),
    serving=SimpleNamespace(
        has_stages=False,
        outputs=(Tensor("score", "float32", "[B, N]"), Tensor("probability", "float32", "[B, N]")),
    ),
    explanation=SimpleNamespace(meanings=dict.fromkeys(("id", "text", "context"), "share")),
)


def test_a_card_gives_the_same_signatures_back():
    given = (Tensor("hour", "float64", "[B]"), Tensor("tags", "string", "[B, T_tags]"))
    served = SimpleNamespace(**vars(SERVED) | {"feature_inputs": given})
    for signatures in (CATALOGUE_SIGNATURES, RANKER_SIGNATURES):
        described = [one(served).described for one in signatures]
        card = json.loads(json.dumps(card_entries(described)))
        assert list(Signature.from_card(card).values()) == described


def test_a_card_without_kinds_or_signatures():
    card = {"signatures": {"best": {"inputs": {"user_id": "string [B]: ids"}, "outputs": {}}}}
    assert Signature.from_card(card) == {
        "best": Signature("best", "", (Tensor("user_id", "string", "[B]", "ids"),), ())
    }
    assert Signature.from_card({}) == {}


def test_texts_and_sizes():
    tensor = Tensor("classes", "string", "[B, 2]", '"0" and "1": both')
    assert tensor.text == 'string [B, 2]: "0" and "1": both'
    assert Tensor.of_text("classes", tensor.text) == tensor
    assert tensor.sizes == (None, 2)
    scalar = Tensor("user_id", "string", "[]")
    assert (scalar.text, scalar.sizes) == ("string []", ())


def test_neutral_values():
    assert neutral("string") == ""
    assert math.isnan(neutral("float32")) and math.isnan(neutral("float64"))
    assert neutral("bool") is False
    assert neutral("int32") == neutral("int64") == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [({"kind": "users"}, "kind must be one of"), ({"shape": "B, H"}, "shape must be like")],
)
def test_a_wrong_tensor(options, says):
    with pytest.raises(InputError, match=says):
        Tensor("user_id", "string", **options)


def _row(signature):
    parts = (signature.inputs, signature.outputs)
    listed = (", ".join(f"`{one.name}` {one.dtype} {one.shape}" for one in part) for part in parts)
    return f"| `{signature.name}` | {' | '.join(listed)} | {signature.does} |"


@pytest.mark.parametrize("signatures", [CATALOGUE_SIGNATURES, RANKER_SIGNATURES])
def test_the_tables_in_the_documents(signatures):
    text = DOCS.read_text(encoding="utf-8")
    lacking = [row for one in signatures if (row := _row(one(SERVED).described)) not in text]
    assert not lacking, "docs/serving.md lacks:\n" + "\n".join(lacking)
