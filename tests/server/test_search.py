"""Searches through the embedded server: the client, bodies written by hand, and the page."""

import json

import numpy as np
import pandas as pd
import pytest
import urllib3

from tfrec_fusion.client import Client
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.models.classic import ItemKNN


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    titles = ["red mug", "blue mug", "red lamp", "blue lamp"]
    frame = pd.DataFrame({"item_id": [*"abcd"], "title": titles, "price": [1.0, 2, 3, 4]})
    shop = Catalogue(frame, {"text": np.float32([[1, 0], [0, 1], [1, 1], [-1, 1]])})
    rows = {"user_id": [*"uuvv"], "item_id": [*"acbc"]}
    events = Interactions.from_frame(pd.DataFrame(rows), shop)
    folder = tmp_path_factory.mktemp("searched") / "shop"
    options = {"filters": ["price"], "search": {"vectors": "text"}, "deployment": True}
    return export(ItemKNN(k=2).fit(events), events, folder, **options)


@pytest.mark.acceptance
def test_clients_bodies_and_the_page_find_what_the_export_finds(version, server_process):
    shop = Recommender(version)
    queries, users, vectors = ["red mugg", "zebra", ""], ["u", "", "v"], [[1, 0], [0, 0], [0, 1]]
    expected = [
        shop.search(query, k=3, user_id=user or None, vector=vector, filters={"price_max": 3})
        for query, user, vector in zip(queries, users, vectors, strict=True)
    ]
    with server_process(version.parent, "--page") as server:
        for address in (server.rest, server.grpc):
            with Client(address, model="shop") as client:
                found = client.search(
                    queries, k=3, users=users, vectors=vectors, filters={"price_max": 3}
                )
                texts = client.search(["mug"], k=2)
                by_vector = client.search(vectors=[[0, 1]], k=2)
                with pytest.raises(InputError, match="search needs queries or vectors"):
                    client.search()
            for place, pairs in enumerate(expected):
                own = found[found["position"] == place]
                assert own["item_id"].tolist() == [item for item, _ in pairs]
                np.testing.assert_allclose(own["score"], [score for _, score in pairs], rtol=1e-5)
            assert texts["item_id"].tolist() == [item for item, _ in shop.search("mug", k=2)]
            assert texts["query"].tolist() == ["mug"] * 2 and texts["rank"].tolist() == [1, 2]
            pairs = shop.search(vector=[0, 1], k=2)
            assert by_vector["item_id"].tolist() == [item for item, _ in pairs]
        row = {"query": "red mug", "user_id": "u", "k": 2}
        body = {"signature_name": "search_text", "instances": [row]}
        answer = urllib3.request(
            "POST", f"{server.rest}/v1/models/shop:predict", body=json.dumps(body).encode()
        )
        best = [item for item, _ in shop.search("red mug", k=2, user_id="u")]
        assert answer.json()["predictions"][0]["item_id"] == best
        page = f"{server.rest}/api/models/shop/versions/1"
        fields = urllib3.request("GET", page).json()["form"]["fields"]
        assert [field["name"] for field in fields][:2] == ["query", "user_id"]
        asked = {"query": "red mug", "user_id": "u", "k": 2, "history": ["b"], "price_max": 2}
        kind = {"content-type": "application/json"}
        given = json.dumps({"inputs": asked}).encode()
        answer = urllib3.request("POST", f"{page}/answers", body=given, headers=kind).json()
        best = shop.search("red mug", k=2, user_id="u", filters={"price_max": 2})
        assert [item["item_id"] for item in answer["items"]] == [item for item, _ in best]
        assert answer["items"][0]["title"] == "red mug" and answer["known_user"]
        given = json.dumps({"inputs": {**asked, "query": ""}}).encode()
        answer = urllib3.request("POST", f"{page}/answers", body=given, headers=kind).json()
        best = shop.recommend("u", ["b"], k=2, filters={"price_max": 2})
        assert [item["item_id"] for item in answer["items"]] == [item for item, _ in best]
