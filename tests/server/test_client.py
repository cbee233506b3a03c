"""The client of this project against the embedded server, over both protocols."""

import json
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.client import Client
from tfrec_fusion.client.errors import ModelNotFound, RequestRefused, ServerUnavailable


@pytest.fixture(params=["grpc", "rest"])
def address(request, embedded):
    return getattr(embedded, request.param)


@pytest.fixture
def client(address):
    with Client(address, model="shop", timeout=20) as client:
        yield client


def test_recommend_equals_the_model(client, reference):
    users = ["ü 3", "nobody", "ü 5", "ü 3"]
    histories = [[], ["item4", "käse 0"], ["no such item"], ["🧀,2", "item9", "item14"]]
    exclude = [["item4"], [], ["商品-1", "item24"], []]
    frame = client.recommend(users, histories, exclude, k=5)
    vectors, seen = reference.users(users, histories)
    for user, vector in enumerate(vectors):
        rows = frame[frame["user"] == user]
        ids, scores = reference.best(vector, seen[user], exclude[user], 5)
        assert rows["item_id"].tolist() == ids
        np.testing.assert_allclose(rows["score"], scores, atol=1e-5)


@pytest.mark.parametrize(
    "short", [{"history": [["item4"]]}, {"k": [3]}, {"exclude_seen": [True]}, {"include": [[""]]}]
)
def test_a_batch_of_different_sizes_is_refused(embedded, short):
    asked = {name: [[""], [""]] for name in ("history", "exclude", "include")}
    asked |= {
        "history_age": [[0], [0]],
        "user_id": ["ü 3", "ü 5"],
        "k": [3, 3],
        "exclude_seen": [False, False],
    } | short
    body = json.dumps({"signature_name": "recommend", "inputs": asked}).encode()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{embedded.rest}/v1/models/shop:predict", body)
    assert caught.value.code == 400
    error = json.loads(caught.value.read())["error"]
    assert next(iter(short)) in error and "user_id" in error
    assert "{{" not in error


def test_fewer_items_than_k_give_fewer_rows(client, reference):
    left = ["item4", "item9"]
    others = [item for item in reference.item_ids if item not in left]
    assert sorted(client.recommend(["nobody"], exclude=[others], k=7)["item_id"]) == left


def test_many_users(client):
    users = [f"ü {i}" for i in range(150)]
    frame = client.recommend(users, k=3)
    assert len(frame) == 450
    one = client.recommend([users[140]], k=3)
    assert frame[frame["user"] == 140]["item_id"].tolist() == one["item_id"].tolist()


def test_predict_any_signature(client, reference):
    frame = pd.DataFrame({"user_id": ["ü 3", "ü 5"], "item_id": [["item4", "x"], ["🧀,2"]]})
    found = client.predict(frame, "score")
    vectors, _ = reference.users(frame["user_id"], [[], []])
    for row, items in enumerate(frame["item_id"]):
        expected = [reference.item(item) @ vectors[row] for item in items]
        np.testing.assert_allclose(found["score"].iloc[row], expected, atol=1e-5)
    vectors = client.predict({"item_id": ["item4", b"\xff\xfe"]}, "item_vector")["vector"]
    for vector, item in zip(vectors, ["item4", "no such item"], strict=True):
        np.testing.assert_allclose(vector, reference.item(item), atol=1e-5)
    assert len(client.predict({"user_id": ["ü 3"]})["item_id"][0]) == 40  # all items


def test_metadata_and_status(client):
    assert client.signatures()["score"] == {
        "inputs": {"user_id": ("string", 1), "item_id": ("string", 2)},
        "outputs": {"score": ("float32", 2)},
    }
    expected = {"version": [1], "state": ["AVAILABLE"], "error": [""]}
    assert client.status().to_dict("list") == expected


@pytest.mark.parametrize("which", [{"version": 1}, {"label": "stable"}])
def test_version_and_label(address, which):
    with Client(address, model="shop", **which) as client:
        assert len(client.recommend(["ü 3"], k=2)) == 2


def test_what_the_server_lacks(address):
    with Client(address, model="shp") as client, pytest.raises(ModelNotFound, match="Servable"):
        client.recommend(["ü 3"])
    with Client(address, model="shop", version=9) as client, pytest.raises(ModelNotFound):
        client.recommend(["ü 3"])
    with (
        Client(address, model="shop", label="canary") as client,
        pytest.raises(RequestRefused, match="Unrecognized servable version label: canary"),
    ):
        client.recommend(["ü 3"])


def test_more_than_the_server_allows(client):
    with pytest.raises(RequestRefused, match=r"k must be at most 10000\. Received: 2000000000"):
        client.recommend(["ü 3"], k=2_000_000_000)
    with pytest.raises(RequestRefused, match="history: lists may have at most 10000 values"):
        client.recommend(["ü 3"], histories=[["item4"] * 10_001])


def test_a_key_without_tls_stays_on_this_machine(address, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Client(address, model="shop", retries=0, timeout=20, api_key="a key") as client:
        assert client.status()["state"].tolist() == ["AVAILABLE"]


def test_no_server(server_process):
    with (
        Client("http://127.0.0.1:9", model="shop", retries=0, timeout=5) as client,
        pytest.raises(ServerUnavailable),
    ):
        client.recommend(["ü 3"])
