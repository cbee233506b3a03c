"""Features in requests are known to warm-up, OpenAPI, the page and clients."""

import json

import numpy as np
import pandas as pd
import pytest
import urllib3

from tfrec_fusion.client import Client
from tfrec_fusion.client.errors import ServingError
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.deploy.warmup import iterate_warmup
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.features import Category, Features, Number, Tags, Time
from tfrec_fusion.models import TwoTower
from tfrec_fusion.server.servable import Servable

FEATURES = Features(
    user=[Category(column="country"), Number(column="age"), Tags(column="likes")],
    context=[Category(column="device"), Time(column="timestamp", parts=("hour",))],
)
GIVEN = {"user_country": "de", "user_age": 31.5, "user_likes": ["b", "a"], "device": "tv"}


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    users = pd.DataFrame({"user_id": ["u0", "u1", "u2"], "country": ["de", "fr", None]})
    users = users.assign(age=[20.0, 64.0, None], likes=[["a"], ["b", "a"], ["a\nb"]])
    frame = pd.DataFrame({"user_id": [f"u{row % 3}" for row in range(9)]})
    frame["item_id"] = [f"i{row}" for row in (0, 1, 2, 1, 2, 3, 2, 3, 0)]
    frame["timestamp"] = 1.7e9 + 50_000.0 * np.arange(9)
    frame["device"] = ["tv", "phone", "tv"] * 3
    shop = Catalogue(pd.DataFrame({"item_id": [f"i{row}" for row in range(6)]}))
    events = Interactions.from_frame(frame, shop, users=users)
    model = TwoTower(events, dim=4, features=FEATURES)
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign_add(rng.normal(scale=0.3, size=weight.shape).astype(np.float32))
    folder = tmp_path_factory.mktemp("asked") / "shop"
    return export(model, events, folder, explain=True, deployment=True)


@pytest.mark.slow
def test_warm_up_requests_give_none(version):
    asked = {name: inputs for name, inputs in iterate_warmup(version)}
    assert "user_age" not in asked["serving_default"]
    for name in ("recommend", "score", "user_vector", "explain"):
        inputs = asked[name]
        assert np.isnan(inputs["user_age"]).all() and np.isnan(inputs["time"]).all()
        assert (inputs["user_country"] == b"").all() and (inputs["user_likes"] == b"").all()


@pytest.mark.slow
def test_servers_and_clients_know_them(version, server_process):
    shop = Recommender(version)
    plain = shop.recommend("new", k=6)
    given = shop.recommend("new", k=6, features=GIVEN)
    assert np.abs(np.array(dict(plain)["i5"]) - dict(given)["i5"]) > 1e-3
    with server_process(version.parent) as server:
        document = json.loads(urllib3.request("GET", f"{server.rest}/openapi.json").data)
        body = document["paths"]["/v1/models/shop:predict"]["post"]["requestBody"]["content"]
        forms = {
            form["properties"]["signature_name"]["const"]: form["properties"]["inputs"]
            for form in body["application/json"]["schema"]["anyOf"]
            if "inputs" in form["properties"]
        }
        described = forms["recommend"]["properties"]["user_age"]
        assert described["description"] == "users: age; NaN if not given"
        for address in (server.rest, server.grpc):
            with Client(address, model="shop") as client:
                alone = client.recommend(["new"], k=6)
                asked = {name: [value] for name, value in GIVEN.items()}
                both = client.recommend(["new"], k=6, **asked)
                broken = client.recommend(["new"], k=6, user_likes=[["a\nb", "new"]])
                shares = client.explain(["new"], [["i5"]], **asked)
                with pytest.raises(InputError, match="user_age must be float64"):
                    client.recommend(["new"], user_age=["old"])
                with pytest.raises(InputError, match=r"client: time .*these are milliseconds"):
                    client.recommend(["new"], time=[1.7e12])
                with pytest.raises(ServingError, match=r"time must be .*looks like a year"):
                    client.recommend(["new"], time=[2024.0])
            likes = shop.recommend("new", k=6, features={"user_likes": ["a\nb"]})
            for frame, expected in ((alone, plain), (both, given), (broken, likes)):
                assert frame["item_id"].tolist() == [item for item, _ in expected]
                np.testing.assert_allclose(frame["score"], [s for _, s in expected], rtol=1e-5)
            np.testing.assert_allclose(shares["score"][0], dict(given)["i5"], rtol=1e-4)
            assert "share_request" in shares
        page = f"{server.rest}/api/models/shop/versions/1"
        found = json.loads(urllib3.request("GET", page).data)
        fields = {field["name"]: field for field in found["form"]["fields"]}
        assert fields["user_age"]["kind"] == fields["time"]["kind"] == "number"
        assert fields["user_country"]["choices"] == ["de", "fr"]
        assert fields["user_likes"]["kind"] == "texts"
        body = json.dumps({"inputs": {"user_id": "new", "k": 6} | GIVEN}).encode()
        answer = urllib3.request(
            "POST", f"{page}/answers", body=body, headers={"Content-Type": "application/json"}
        ).json()
        assert [row["item_id"] for row in answer["items"]] == [item for item, _ in given]
        assert "request" in answer["items"][0]["shares"]


WRONG_TIMES = [
    (1.7e12, "time must be unix seconds from 1990-01-01 to .*; these are milliseconds: divide by"),
    (2024.0, "time must be unix seconds from .*; this looks like a year"),
    (19_675.0, "time must be unix seconds from .*; these are days: multiply by 86400"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("time", "says"), WRONG_TIMES)
def test_the_time_of_a_request_must_be_in_seconds(version, time, says):
    shop = Recommender(version)
    with pytest.raises(InputError, match=says):
        shop.recommend("u0", features={"time": time})
    assert shop.recommend("u0", features={"time": 1.75e9})
    servable = Servable("shop", 1, version)
    for signature in ("recommend", "score", "explain"):
        with pytest.raises(StatusError, match=says):
            servable.signatures[signature].check_times({"time": np.array([1.75e9, time])})
        servable.signatures[signature].check_times({"time": np.array([1.75e9, np.nan])})
