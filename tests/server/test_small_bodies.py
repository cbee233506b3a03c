"""The bodies of docs/serving.md, as someone writes them by hand, over REST."""

import json
import re
from pathlib import Path

import pytest
import urllib3

from tfrec_fusion.export import Recommender

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
IDS = {"U2932": "ü 3", "P21729": "item4", "P56546": "item9"}


def _bodies():
    text = PAGE.read_text(encoding="utf-8")
    for theirs, ours in IDS.items():
        text = text.replace(f'"{theirs}"', f'"{ours}"')
    found = map(json.loads, re.findall(r"curl -d '(.*?)' \$URL", text))
    return {body.get("signature_name", "serving_default"): body for body in found}


@pytest.fixture(scope="module")
def shop(exported):
    return Recommender(exported)


# Signature -> the same from the export itself.
EXPECTED = {
    "serving_default": lambda shop: shop.recommend("ü 3", k=100),
    "recommend_user": lambda shop: shop.recommend("ü 3", k=10),
    "recommend_history": lambda shop: shop.recommend(history=["item4", "item9"], k=10),
    "similar": lambda shop: shop.similar("item4", k=10),
    "audience": lambda shop: shop.audience("item4", k=10),
}


def test_the_page_has_one_of_each():
    assert set(_bodies()) == set(EXPECTED)


@pytest.mark.parametrize("signature", EXPECTED)
def test_a_body_names_all_that_its_signature_wants(embedded, shop, signature):
    url = f"{embedded.rest}/v1/models/shop:predict"
    body = _bodies()[signature]
    answer = urllib3.request("POST", url, body=json.dumps(body).encode())
    assert answer.status == 200, answer.data
    (row,) = answer.json()["predictions"]
    (column,) = set(row) - {"score"}
    ids = row[column]
    assert [one for one in ids if one] == [one for one, _ in EXPECTED[signature](shop)]
    # As on the real server, nothing may be left out.
    if len(body["instances"][0]) > 1:
        del body["instances"][0]["k"]
        answer = urllib3.request("POST", url, body=json.dumps(body).encode())
        assert answer.status == 400
