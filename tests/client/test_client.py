import importlib.util
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.client import Client
from tfrec_fusion.client.errors import (
    DeadlineExceeded,
    ModelNotFound,
    RequestRefused,
    ServerUnavailable,
    ServingError,
)
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import explain
from tfrec_fusion.export import export

pytest.importorskip("tensorflow_serving", reason='needs ".[serving]"')


@pytest.fixture(scope="module")
def stubs():
    path = Path(__file__).with_name("stub_servers.py")
    spec = importlib.util.spec_from_file_location("stub_servers", path)
    module = sys.modules["stub_servers"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shop_backend(stubs, exported):
    return stubs.Backend(exported)


@pytest.fixture(scope="module")
def servers(stubs, shop_backend):
    with stubs.grpc_server(shop_backend) as grpc, stubs.rest_server(shop_backend) as rest:
        yield {"grpc": grpc, "rest": rest}


@pytest.fixture(params=["grpc", "rest"])
def address(request, servers):
    return servers[request.param]


@pytest.fixture
def backend(shop_backend):
    shop_backend.faults, shop_backend.batches, shop_backend.specs = [], [], []
    shop_backend.connections, shop_backend.delay = set(), None
    return shop_backend


@pytest.fixture
def client(address, backend):
    with Client(address, model="shop", backoff=0.001, timeout=20) as client:
        client.signatures()
        yield client


def test_recommend_equals_the_model(client, reference):
    users = ["ü 3", "nobody", "ü 5", "ü 3"]
    histories = [[], ["item4", "käse 0"], ["no such item"], ["🧀,2", "item9", "item14"]]
    exclude = [["item4"], [], ["商品-1", "item24"], []]
    frame = client.recommend(users, histories, exclude, k=5)
    assert list(frame) == ["user", "user_id", "rank", "item_id", "score"]
    vectors, seen = reference.users(users, histories)
    for user, vector in enumerate(vectors):
        rows = frame[frame["user"] == user]
        ids, scores = reference.best(vector, seen[user], exclude[user], 5)
        assert rows["item_id"].tolist() == ids
        assert rows["rank"].tolist() == [1, 2, 3, 4, 5]
        assert set(rows["user_id"]) == {users[user]}
        np.testing.assert_allclose(rows["score"], scores, atol=1e-5)


def test_fewer_items_than_k_give_fewer_rows(client, reference):
    left = ["item4", "item9"]
    others = [item for item in reference.item_ids if item not in left]
    frame = client.recommend(["nobody"], exclude=[others], k=7)
    assert sorted(frame["item_id"]) == left


def test_lists_to_choose_from_and_what_was_seen(client, reference):
    users, histories = ["ü 3", "ü 3", "ü 3"], [["item4"], ["item4"], []]
    stored = reference.users(["ü 3"], [[]])[1][0]
    stored = {reference.item_ids[row] for row in stored}
    some = [*stored, "item4", "item9", "item19"]
    frame = client.recommend(
        users, histories, k=40, include=[some, some, []], exclude_seen=[False, True, False]
    )
    found = [frame[frame["user"] == user]["item_id"].tolist() for user in range(3)]
    assert sorted(found[0]) == sorted({*some} - {"item4"})
    assert sorted(found[1]) == sorted({*some} - {"item4"} - stored)
    assert found[2] == []
    left = client.recommend(["ü 3"], [["item4"]], k=40, exclude_seen=True, include=[None])
    assert set(left["item_id"]) == {*reference.item_ids} - {"item4"} - stored


@pytest.fixture(scope="module")
def explaining_backend(stubs, explaining):
    return stubs.Backend(explaining)


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_explain_equals_the_model(stubs, explaining_backend, model, events, protocol):
    users, ids = ["ü 3", "nobody", "ü 5"], events.catalogue.vocabulary.ids
    items = [ids[:4].tolist(), [], ids[7:9].tolist()]
    server = {"grpc": stubs.grpc_server, "rest": stubs.rest_server}[protocol]
    with (
        server(explaining_backend) as address,
        Client(address, model="shop", batch_size=2, timeout=20) as client,
    ):
        frame = client.explain(users, items)
        other = client.explain(["ü 3"], [items[0]], histories=[["item4", "no such item"]])
        with pytest.raises(InputError, match="item_id must have one value for each of the 3 rows"):
            client.explain(users, items[:2])
    shares = ["share_id", "share_text", "share_context", "bias"]
    assert list(frame) == ["user", "user_id", "item_id", "score", *shares]
    assert frame["user"].tolist() == [0] * 4 + [2] * 2
    assert frame["item_id"].tolist() == [*items[0], *items[2]]
    expected = explain(model, events, frame["user_id"], frame["item_id"], nearest=0)
    for name in ("score", *shares):
        column = expected[name.removeprefix("share_")]
        np.testing.assert_allclose(frame[name], column, rtol=0, atol=1e-4)
    np.testing.assert_allclose(other[shares].sum(axis=1), other["score"], rtol=0, atol=1e-5)
    assert (np.abs(other["score"] - frame["score"][:4]) > 1e-3).all()


def test_a_version_without_shares(client):
    with pytest.raises(InputError, match="the model has no signature 'explain'"):
        client.explain(["ü 3"], [["item4"]])


def test_filters_and_rules(stubs, ruled, business):
    version, reference = ruled
    backend = stubs.Backend(version)
    filters = {"category": ["käse", "wein"], "tags": "a", "price_max": 30, "in_stock": True}
    asked = {**filters, "tags": ["a"], "price_max": 30.0}
    for server in (stubs.grpc_server, stubs.rest_server):
        with server(backend) as address, Client(address, model="shop", timeout=60) as client:
            frame = client.recommend(["u3", "nobody"], k=7, filters=filters)
            for user, name in enumerate(["u3", "nobody"]):
                expected = reference.answer({"user_id": name, **asked}, 7)
                rows = frame[frame["user"] == user]
                assert rows["item_id"].tolist() == expected[0]
                np.testing.assert_allclose(rows["score"], expected[1], atol=1e-5)
            assert len(client.recommend(["u3"], filters={"category": []})) == 0
            own = client.recommend(["u3", "u3"], k=4, price_min=[float("nan"), 40.0])
            expected = reference.answer({"user_id": "u3", "price_min": 40.0}, 4)[0]
            assert own[own["user"] == 1]["item_id"].tolist() == expected
            with pytest.raises(InputError, match="filters: exclude is also given as an argument"):
                client.recommend(["u3"], exclude=[["item 1"]], filters={"exclude": "item 2"})


def test_large_requests_go_in_batches(client, backend, events):
    users = [f"ü {i}" for i in range(150)]
    frame = client.recommend(users, k=3)
    assert backend.batches == [64, 64, 22]
    assert len(frame) == 450
    one = client.recommend([users[140]], k=3)
    assert frame[frame["user"] == 140]["item_id"].tolist() == one["item_id"].tolist()


def test_nothing_asked_asks_nothing(client, backend):
    frame = client.recommend([], k=3)
    assert len(frame) == 0
    assert list(frame) == ["user", "user_id", "rank", "item_id", "score"]
    assert backend.batches == []


def test_predict_any_signature(client, reference):
    frame = pd.DataFrame(
        {"user_id": ["ü 3", "ü 5"], "item_id": [["item4", "x", "item9"], ["🧀,2"]]}, index=[7, 9]
    )
    found = client.predict(frame, "score")
    assert found.index.tolist() == [7, 9]
    vectors, _ = reference.users(frame["user_id"], [[], []])
    for row, items in enumerate(frame["item_id"]):
        expected = [reference.item(item) @ vectors[row] for item in items]
        np.testing.assert_allclose(found["score"].iloc[row], expected, atol=1e-5)
    vectors = client.predict({"item_id": ["item4", "x"]}, "item_vector")["vector"]
    for vector, item in zip(vectors, ["item4", "x"], strict=True):
        np.testing.assert_allclose(vector, reference.item(item), atol=1e-5)
    best = client.predict({"user_id": ["ü 3"]})
    assert len(best["item_id"][0]) == len(reference.item_ids)
    assert best["item_id"][0][0] in reference.item_ids


def test_items_like_an_item_and_users_for_it(client, exported):
    from tfrec_fusion.export import Recommender

    items, alone = ["item4", "no such item", "🧀,2"], Recommender(exported)
    found = client.similar(items, k=4)
    assert list(found) == ["item", "item_id", "rank", "similar_id", "score"]
    assert found["item_id"].unique().tolist() == ["item4", "🧀,2"]
    users = client.audience(items, k=4)
    assert list(users) == ["item", "item_id", "rank", "user_id", "score"]
    for place in (0, 2):
        for frame, column, ask in (
            (found, "similar_id", "similar"),
            (users, "user_id", "audience"),
        ):
            rows = frame[frame["item"] == place]
            expected = getattr(alone, ask)(items[place], k=4)
            assert rows[column].tolist() == [one for one, _ in expected]
            assert rows["rank"].tolist() == [1, 2, 3, 4]
    with pytest.raises(InputError, match=r"k must be a whole number of at least 1\. Received: 0"):
        client.similar(items, k=0)


def test_an_id_that_is_not_utf_8(client):
    vector = client.predict({"item_id": [b"\xff\xfe", "no such item"]}, "item_vector")["vector"]
    assert vector[0] == vector[1]


def test_metadata_and_status(client):
    assert client.signatures()["score"] == {
        "inputs": {"user_id": ("string", 1), "item_id": ("string", 2)},
        "outputs": {"score": ("float32", 2)},
    }
    status = client.status()
    assert status.to_dict("list") == {
        "version": [1, 2],
        "state": ["AVAILABLE", "LOADING"],
        "error": ["", ""],
    }


@pytest.mark.parametrize("which", [{"version": 1}, {"label": "stable"}])
def test_version_and_label(address, backend, which):
    with Client(address, model="shop", **which) as client:
        assert len(client.recommend(["ü 3"], k=2)) == 2
    assert set(backend.specs) == {("shop", which.get("version"), which.get("label"))}


@pytest.mark.parametrize(
    ("which", "attempts"),
    [
        ({"model": "shp"}, 1),
        # They may be loading.
        ({"model": "shop", "label": "canary"}, 3),
        ({"model": "shop", "version": 7}, 3),
    ],
)
def test_what_the_server_lacks(address, backend, which, attempts):
    which |= {"retries": 2, "backoff": 0.001}
    with Client(address, **which) as client, pytest.raises(ModelNotFound, match="Servable") as e:
        client.recommend(["ü 3"])
    assert (e.value.code, e.value.attempts) == ("NOT_FOUND", attempts)
    assert len(backend.specs) == attempts


def test_a_canary_that_is_loading_is_waited_for(address, backend, monkeypatch):
    check, asked = backend.check, []

    def loading(name, version, label):
        asked.append(label)
        return check(name, version, "canary" if len(asked) < 3 else "stable")

    monkeypatch.setattr(backend, "check", loading)
    with Client(address, model="shop", label="canary", backoff=0.001) as client:
        assert len(client.recommend(["ü 3"], k=2)) == 2
    assert len(asked) > 3


def test_a_label_chooses_nothing_in_a_status(address, backend):
    with Client(address, model="shop", label="stable") as client:
        assert client.status()["version"].tolist() == [1, 2]
    assert not [label for _, _, label in backend.specs if label]


@pytest.mark.parametrize("fault", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_what_may_work_next_time_is_tried_again(client, backend, fault):
    backend.faults = [fault] * 3
    assert len(client.recommend(["ü 3"], k=2)) == 2
    assert backend.faults == []
    backend.faults = [fault] * 9
    with pytest.raises(ServerUnavailable, match=f"{fault} after 5 tries: injected") as caught:
        client.recommend(["ü 3"], k=2)
    assert caught.value.attempts == 5
    assert len(backend.faults) == 4


@pytest.mark.parametrize(
    ("fault", "error"), [("INVALID_ARGUMENT", RequestRefused), ("INTERNAL", ServingError)]
)
def test_nothing_else_is_tried_again(client, backend, fault, error):
    backend.faults = [fault] * 2
    with pytest.raises(error, match=f"{fault}: injected"):
        client.recommend(["ü 3"], k=2)
    assert backend.faults == [fault]


def test_a_reset_connection_is_tried_again(servers, backend):
    backend.faults = ["reset", "reset"]
    with Client(servers["rest"], model="shop", backoff=0.001) as client:
        assert len(client.recommend(["ü 3"], k=2)) == 2
    assert backend.faults == []


def test_no_server(stubs, shop_backend):
    for server in (stubs.grpc_server, stubs.rest_server):
        with server(shop_backend) as address:
            pass
        client = Client(address, model="shop", backoff=0.001, retries=2, timeout=20)
        with client, pytest.raises(ServerUnavailable, match="UNAVAILABLE after 3 tries"):
            client.recommend(["ü 3"])


def test_the_deadline(address, backend):
    with Client(address, model="shop", timeout=1.0) as client:
        client.signatures()
        backend.delay = threading.Event()
        try:
            with pytest.raises(DeadlineExceeded, match="DEADLINE_EXCEEDED"):
                client.recommend(["ü 3"])
        finally:
            backend.delay.set()


def test_connections_are_kept(client, backend):
    for _ in range(5):
        client.recommend(["ü 3"], k=2)
    assert len(backend.connections) == 1


def test_outputs_that_were_widened_by_merged_requests_are_cut(client, backend, monkeypatch):
    run = backend.run

    def merged(signature, inputs):
        found = run(signature, inputs)
        return {name: np.repeat(value, 2, 1) for name, value in found.items()}

    expected = client.predict({"user_id": ["ü 3"], "item_id": [["item4", "item9"]]}, "score")
    monkeypatch.setattr(backend, "run", merged)
    assert len(client.recommend(["ü 3"], k=3)) == 3
    monkeypatch.undo()
    again = client.predict({"user_id": ["ü 3"], "item_id": [["item4", "item9"]]}, "score")
    assert again["score"][0] == expected["score"][0]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda c: c.recommend("ü 3"), "users must be a list of ids.*the text 'ü 3'"),
        (lambda c: c.recommend(["a", "\ud83d"]), "users has 1 values .* at row 1"),
        (lambda c: c.recommend([3]), "users must hold strings. Received: 3"),
        (lambda c: c.recommend(["a"], k=0), "k must be a whole number of at least 1. Received: 0"),
        (
            lambda c: c.recommend(["a"], [["b"], []]),
            "history must have one value for each of the 1 rows",
        ),
        (lambda c: c.recommend(["a"], exclude=["b"]), "exclude must be a list of ids.*'b'"),
        (lambda c: c.recommend(["a"], colour=["b"]), "recommend takes .*Received: .*colour"),
        (lambda c: c.recommend(["a"], filters={"size": "b"}), "takes .*Received: .*size"),
        (lambda c: c.recommend(["a"], include=["b"]), "include must be a list of ids.*'b'"),
        (lambda c: c.recommend(["a"], exclude_seen=[True] * 2), "exclude_seen must have one value"),
        (lambda c: c.predict({"user_id": ["a"]}, "score"), "score takes .*item_id"),
        (lambda c: c.predict({"user_id": ["a"]}, "scores"), "no signature 'scores'"),
    ],
)
def test_bad_input_is_named(client, backend, call, says):
    with pytest.raises(InputError, match=says) as caught:
        call(client)
    assert "\n" not in str(caught.value)
    assert backend.batches == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"version": 1, "label": "stable"}, "version or label, not both. Received: 1 and 'stable'"),
        ({"timeout": 0}, "timeout must be at least 0.001. Received: 0"),
        ({"retries": -1}, "retries must be at least 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"backoff": "1"}, "backoff must be"),
    ],
)
def test_bad_options_are_named(options, says):
    with pytest.raises(InputError, match=says):
        Client("localhost:1", model="shop", **options)


def test_ages_of_histories(client, reference):
    # Both orders say the same, and a row may have none.
    histories = [["item4", "item9"], ["item9", "item4"], ["item4", "item9"]]
    ages = [[90.0, 2.5], [2.5, 90.0], None]
    frame = client.recommend(["nobody"] * 3, histories, k=5, history_ages=ages)
    days = [one or [] for one in ages]
    vectors, seen = reference.users(["nobody"] * 3, histories, days)
    for user, vector in enumerate(vectors):
        ids, scores = reference.best(vector, seen[user], (), 5)
        rows = frame[frame["user"] == user]
        assert rows["item_id"].tolist() == ids
        np.testing.assert_allclose(rows["score"], scores, atol=1e-5)
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3
    own = client.predict(
        {"user_id": ["nobody"], "history": [histories[0]], "history_age": [[90.0, 2.5]]},
        "user_vector",
    )
    np.testing.assert_allclose(own["vector"][0], vectors[0], atol=1e-5)


@pytest.mark.parametrize(
    ("ages", "says"),
    [
        ([[1.0]], r"history_age must be a list .* each of the 2 items.*Received: \[1\.0\]"),
        ([[1.0, 2.0, 3.0]], "each of the 2 items"),
        ([3.0], r"each of the 2 items of the history\. Received: 3\.0"),
        ([[1.0, -2.0]], r"days before now, from 0 to 36,525; 1 of 2 are not.*Received: -2\.0"),
        ([[float("nan"), 1.7e9]], r"2 of 2 are not.*\(now - time\) / 86400\. Received: nan, 17"),
        ([["1", True]], "2 of 2 are not.*Received: '1', True"),
        ([], "history_age must have one value for each of the 1 rows. Received: 0"),
    ],
)
def test_wrong_ages_are_refused(client, ages, says):
    with pytest.raises(InputError, match=says):
        client.recommend(["ü 3"], [["item4", "item9"]], history_ages=ages)
    if len(ages):
        with pytest.raises(InputError, match="each of the 0 items"):
            client.recommend(["ü 3"], history_ages=ages)


def test_lists_start_with_the_padding(client, backend, monkeypatch):
    """TF Serving fills narrower requests that it merges up with their first value."""
    seen = []
    run = backend.run
    monkeypatch.setattr(backend, "run", lambda s, inputs: seen.append(inputs) or run(s, inputs))
    client.recommend(["ü 3", "ü 5"], [["item4"], []], [["item9", "item14"], ["x"]])
    for name in ("history", "exclude"):
        first = np.asarray(seen[0][name], object)[:, 0].tolist()
        assert first in ([b"", b""], ["", ""])
    client.recommend(["ü 3", "ü 5"], [["item4"], []], history_ages=[[3.0], []])
    ages = np.asarray(seen[1]["history_age"])
    assert ages.shape == np.shape(seen[1]["history"]) == (2, 2)
    assert np.isnan(ages[:, 0]).all() and ages[0, 1] == 3.0 and np.isnan(ages[1, 1])


def test_ranker_over_rest_and_grpc(stubs, events, tmp_path):
    from tfrec_fusion.models import Ranker

    version = export(Ranker(events, dim=4, hidden=[8]), events, tmp_path / "rank")
    backend = stubs.Backend(version)
    frame = pd.DataFrame({"user_id": ["ü 3"], "item_id": [["item4", "x"]], "history": [["item9"]]})
    frame["history_age"] = [[40.0]]
    expected = backend.loaded.signatures["score"](
        user_id=tf.constant(["ü 3"]),
        item_id=tf.constant([["item4", "x"]]),
        history=tf.constant([["item9"]]),
        history_age=tf.constant([[40.0]]),
    )
    for server in (stubs.grpc_server, stubs.rest_server):
        with server(backend) as address, Client(address, model="shop") as client:
            found = client.predict(frame, "score")
            for name in ("score", "probability"):
                np.testing.assert_allclose(found[name][0], expected[name][0], atol=1e-5)


def test_a_version_that_takes_over_may_have_more(address, backend, stubs, explaining, monkeypatch):
    new = stubs.Backend(explaining)
    with Client(address, model="shop", retries=0, timeout=20) as client:
        client.recommend(["nobody"], k=2)
        with pytest.raises(InputError, match="no signature 'explain'"):
            client.explain(["nobody"], [["item4"]])
        monkeypatch.setattr(backend, "loaded", new.loaded)
        monkeypatch.setattr(backend, "signature_def", new.signature_def)
        known = client.explain(["nobody"], [["item4"]])
        # The next one knows another vector.
        fewer = {name: type(found)() for name, found in new.signature_def.items()}
        for name, found in fewer.items():
            found.CopyFrom(new.signature_def[name])
        del fewer["explain"].outputs["share_text"]
        other = Client(address, model="shop", retries=0, timeout=20)
        monkeypatch.setattr(backend, "signature_def", fewer)
        other.signatures()
        if address.startswith("http"):
            with pytest.raises(ServingError, match="the server switched versions during the call"):
                other.explain(["nobody"], [["item4"]])
        monkeypatch.setattr(backend, "signature_def", new.signature_def)
        pd.testing.assert_frame_equal(other.explain(["nobody"], [["item4"]]), known)
        other.close()
