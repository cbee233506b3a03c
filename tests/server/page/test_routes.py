import asyncio
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import urllib3

from tfrec_fusion._compat import tf
from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.export import Recommender
from tfrec_fusion.server.limits import Limits
from tfrec_fusion.server.servable import Servable


@pytest.fixture(scope="module")
def ask(page_address):
    """Asks the server: (status, headers, JSON or text)."""
    with urllib3.PoolManager() as pool:

        def ask(path, body=None):
            method = "GET" if body is None else "POST"
            given = body if isinstance(body, bytes | None) else json.dumps(body)
            kind = {"content-type": "application/json"}
            answer = pool.request(
                method, page_address + path, body=given, headers=kind, retries=False
            )
            found = answer.data.decode()
            if answer.headers["content-type"] == "application/json":
                found = json.loads(found)
            return answer.status, answer.headers, found

        yield ask


def _answers(ask, version, inputs, model="shop"):
    status, _, found = ask(f"api/models/{model}/versions/{version}/answers", {"inputs": inputs})
    assert status == 200, found
    return found


def test_the_page_and_its_files(ask):
    status, headers, page = ask("")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-security-policy"].startswith("default-src 'self'")
    for name, kind in (("app.js", "text/javascript"), ("style.css", "text/css")):
        assert f"page/{name}" in page
        status, headers, _ = ask(f"page/{name}")
        assert (status, headers["content-type"]) == (200, f"{kind}; charset=utf-8")
        assert headers["x-content-type-options"] == "nosniff"
    for path in ("page/index.html", "page/../routes.py", "page/%2e%2e/routes.py", "page/"):
        assert ask(path)[0] == 404


def test_with_a_key_the_page_is_open_and_what_it_asks_is_not(closed_address):
    address, (key,) = closed_address
    with urllib3.PoolManager() as pool:

        def status(path, method="GET", **headers):
            return pool.request(method, address + path, headers=headers, retries=False).status

        for path in ("", "page/app.js", "page/key.js", "page/style.css", "page/icon.svg"):
            assert status(path) == 200
        version = "api/models/shop/versions/2"
        for path in ("api/models", version, f"{version}/items", "openapi.json", "page/", "API"):
            assert status(path) == 401
        assert status(f"{version}/answers", "POST") == 401
        assert status("", "POST") == 401
        assert status("v1/models/shop") == 401
        assert status("api/models", **{"X-API-Key": key}) == 200


def test_models_and_their_labels(ask):
    assert ask("api/models")[2] == {
        "models": [
            {
                "name": "shop",
                "versions": [
                    {"version": 2, "labels": ["canary"]},
                    {"version": 1, "labels": ["stable"]},
                ],
            },
            {"name": "rank", "versions": [{"version": 1, "labels": []}]},
        ]
    }


def test_a_version_says_what_to_ask(ask):
    found = ask("api/models/shop/versions/2")[2]
    assert found["items"] == 40
    assert found["columns"] == ["category", "price", "in_stock"]
    assert ask("api/models/shop/versions/1")[2]["columns"] == []
    assert found["card"]["metrics"]["slices"]["total"]["users"] == 25
    assert found["card"]["run_config"] == {"epochs": 3}
    fields = {field["name"]: field["kind"] for field in found["form"]["fields"]}
    assert fields | {"history": "items", "category": "texts", "price_min": "number"} == fields
    assert fields["in_stock"] == "flag"
    category = next(field for field in found["form"]["fields"] if field["name"] == "category")
    assert category["choices"] == ["käse & co", "other"]


# 17 words; e with an accent is the e of another.
WORDS = "+".join("abcdefghijklmnopq") + "+%C3%A9"


def test_items_are_searched(ask, events):
    found = ask("api/models/shop/versions/2/items?q=THING%2012&limit=3")[2]["items"]
    assert found[0]["title"] == "Thing № 12"
    again = "api/models/shop/versions/2/items?q=THING" + "%20thing" * 20 + "%2012&limit=3"
    assert ask(again)[2]["items"][0]["title"] == "Thing № 12"
    popular = ask("api/models/shop/versions/2/items?limit=50")[2]["items"]
    # A second event of a pair does not count, as in training.
    pairs = np.unique(np.stack([events.user, events.item]), axis=1)
    counts = np.bincount(pairs[1], minlength=40)
    assert [item["events"] for item in popular] == sorted(counts.tolist(), reverse=True)


def test_an_answer_has_the_columns_of_its_items(ask, shop_items):
    items = shop_items.set_index("item_id")
    for item in _answers(ask, 2, {"user_id": "nobody", "k": 5})["items"]:
        row = items.loc[item["item_id"]]
        assert item["columns"]["category"] == row["category"]
        assert item["columns"]["in_stock"] == ("yes" if row["in_stock"] else "no")
        assert float(item["columns"]["price"] or "nan") == pytest.approx(row["price"], nan_ok=True)
    assert [i["columns"] for i in _answers(ask, 1, {"user_id": "nobody", "k": 1})["items"]] == [{}]


def test_searches_count_as_requests(ask):
    def count():
        line = ':tensorflow:serving:request_count{model_name="shop",status="OK"} '
        text = ask("monitoring/prometheus/metrics")[2]
        return sum(int(found.removeprefix(line)) for found in text.split("\n") if line in found)

    before = count()
    assert ask("api/models/shop/versions/2/items?q=thing")[0] == 200
    assert count() == before + 1


def test_answers_are_those_of_the_version(ask, page_models, events):
    shop = Recommender(page_models["shop"] / "2")
    user = events.users.ids[0]
    found = _answers(ask, 2, {"user_id": user, "k": 5})
    expected = shop.recommend(user, k=5)
    assert [item["item_id"] for item in found["items"]] == [item for item, _ in expected]
    scores = [item["score"] for item in found["items"]]
    assert scores == pytest.approx([score for _, score in expected], abs=1e-5)
    assert [item["title"] for item in found["items"]] == [shop.titles[i] for i, _ in expected]
    assert found["known_user"] is True
    assert found["unknown_items"] == {}

    items = events.catalogue.vocabulary.ids
    history, exclude = [items[3], "gone"], [items[4]]
    found = _answers(ask, 2, {"user_id": "new", "history": history, "exclude": exclude, "k": 5})
    expected = shop.recommend("new", history, exclude, k=5)
    assert [item["item_id"] for item in found["items"]] == [item for item, _ in expected]
    assert found["known_user"] is False
    assert found["unknown_items"] == {"history": ["gone"]}


def test_scores_are_split(ask, page_models, events, shop_items):
    """The shares are the version's; a factor of 2 adds log 2, and nothing else is a rule."""
    user, item = events.users.ids[0], events.catalogue.vocabulary.ids[0]
    served = tf.saved_model.load(str(page_models["shop"] / "2")).signatures["explain"]
    for history in ([], [item]):
        items = _answers(ask, 2, {"user_id": user, "history": history, "k": 40})["items"]
        ids = [item["item_id"] for item in items]
        answer = served(
            user_id=tf.constant([user]),
            history=tf.constant([history], tf.string),
            history_age=tf.zeros([1, 0]),
            item_id=tf.constant([ids]),
        )
        boosted = shop_items.set_index("item_id")["category"][ids] == "käse & co"
        assert 0 < boosted.sum() < len(ids)
        for place, (item, boost) in enumerate(zip(items, boosted, strict=True)):
            expected = {"rules": math.log(2)} if boost else {}
            for output in ("share_id", "share_text", "share_context", "bias"):
                expected[output.removeprefix("share_")] = float(answer[output][0, place])
            assert item["shares"] == pytest.approx(expected, abs=1e-5)
            assert sum(item["shares"].values()) == pytest.approx(item["score"], abs=1e-5)
    assert "shares" not in _answers(ask, 1, {"user_id": user})["items"][0]


def test_filters_leave_fewer(ask, shop_items):
    found = _answers(ask, 2, {"category": ["käse & co"], "in_stock": True, "k": 40})
    passes = (shop_items["category"] == "käse & co") & shop_items["in_stock"]
    assert {item["item_id"] for item in found["items"]} == set(shop_items["item_id"][passes])
    cheap = _answers(ask, 2, {"price_max": 10, "k": 40})
    passes = shop_items["price"] <= 10
    assert {item["item_id"] for item in cheap["items"]} == set(shop_items["item_id"][passes])
    assert _answers(ask, 2, {"category": ["nothing of it"]})["items"] == []


def test_a_ranker_scores_what_it_is_given(ask, ranker, golden):
    model, events, _ = ranker("all")
    items = events.catalogue.vocabulary.ids[:4].tolist()
    inputs = {"user_id": "new", "item_id": [*items, "gone"], "hour": 8, "channel": "web"}
    found = _answers(ask, 1, inputs, "rank")
    asked = {
        "user_id": np.array(["new"], object),
        "item_id": np.array([[*items, "gone"]], object),
        "history": np.array([[""]], object),
        "hour": np.array([8], np.float32),
        "channel": np.array(["web"], object),
    }
    logits = golden.ranker_logits(model, events, asked)[0]
    order = np.argsort(-logits)
    assert [item["item_id"] for item in found["items"]] == [asked["item_id"][0][i] for i in order]
    scores = [item["score"] for item in found["items"]]
    assert scores == pytest.approx(logits[order], abs=1e-5)
    assert found["items"][0]["probability"] == pytest.approx(1 / (1 + np.exp(-logits.max())))
    assert found["unknown_items"] == {"item_id": ["gone"]}


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("api/models/shop/versions/9", None, 404, "Specific(shop, 9)"),
        ("api/models/none/versions/1", None, 404, "Specific(none, 1)"),
        ("api/models/shop/versions/2/items?limit=0", None, 400, "limit must be from 1 to 50"),
        ("api/models/shop/versions/2/items?limit=x", None, 400, "limit must be from 1 to 50"),
        (f"api/models/shop/versions/2/items?limit={'1' * 5000}", None, 400, "limit must be from"),
        (f"api/models/shop/versions/{'1' * 5000}", None, 400, "Failed to convert version"),
        ("api/models/shop/versions/9223372036854775808", None, 400, "Failed to convert version"),
        ("api/models/shop/versions/x", None, 400, "Failed to convert version"),
        ("api/models/shop/versions/2/answers", b'{"inputs": {"user_id": "\\ud83d"}}', 400, "pair"),
        (f"api/models/shop/versions/2/items?q={'a+' * 101}", None, 400, "at most 200 characters"),
        (f"api/models/shop/versions/2/items?q={WORDS}", None, 400, "at most 16 different words"),
        ("api/models/shop/versions/2/answers", b"{", 400, "not JSON"),
        ("api/models/shop/versions/2/answers", b"[" * 10**5, 400, "not JSON"),
        ("api/models/shop/versions/2/answers", {"inputs": []}, 400, "the body must be"),
        ("api/models/shop/versions/2/answers", {"inputs": {"k": "a"}}, 400, "k must be"),
        ("api/models/shop/versions/2/answers", {"inputs": {"k": 1001}}, 400, "at most 1000"),
        (
            "api/models/shop/versions/1/answers",
            {"inputs": {"in_stock": True}},
            400,
            "unknown field",
        ),
    ],
)
def test_mistakes_are_said(ask, path, body, status, says):
    found = ask(path, body)
    assert found[0] == status
    assert says in found[2]["error"]


@pytest.mark.slow
def test_the_command_serves_the_page(embedded):
    answer = urllib3.request("GET", f"{embedded.rest}/")
    assert answer.status == 200
    assert b"<title>tfrec-fusion</title>" in answer.data


@pytest.mark.slow
def test_an_answer_stands_without_its_shares(page_models):
    routes = pytest.importorskip("tfrec_fusion.server.page.routes")
    servable = Servable("shop", 2, page_models["shop"] / "2")

    async def predict(servable, signature, inputs, deadline):
        if signature == "explain":
            raise StatusError("UNAVAILABLE", "the queue is full")
        return servable.run(signature, inputs)

    api = routes._Api(SimpleNamespace(predict=predict, limits=Limits(), manager=None))
    found = asyncio.run(api._answer(servable, {"user_id": "nobody", "k": 3}, math.inf))
    servable.retire()
    assert found["explained"]
    assert len(found["items"]) == 3
    assert "shares" not in found["items"][0]
