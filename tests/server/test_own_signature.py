"""A signature of the user's own, which is one class, is known to all that read signatures."""

import json
import shutil

import numpy as np
import pytest
import urllib3

from tfrec_fusion._compat import tf
from tfrec_fusion.client import Client
from tfrec_fusion.deploy.warmup import iterate_warmup
from tfrec_fusion.export import export, export_onnx
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.signature import RANKED, Signature, Tensor


class Norm(ServedSignature):
    name, does = "norm", "the lengths of the vectors of some items"
    inputs = (
        Tensor("items", "string", "[B, N]", "item ids", kind="item"),
        Tensor("at_least", "float32", "[B]", "the least that comes back, NaN is no limit"),
    )
    outputs = (Tensor("norm", "float32", "[B, N]", "0 and more"),)

    def answer(self, items, at_least):
        lengths = tf.norm(self.served.item_vectors(items), axis=2)
        none = tf.math.is_nan(at_least)
        return {"norm": tf.maximum(lengths, tf.where(none, 0.0, at_least)[:, None])}


@pytest.fixture(scope="module")
def version(model, events, tmp_path_factory):
    base = tmp_path_factory.mktemp("own") / "shop"
    return export(model, events, base, deployment=True, signatures=[Norm])


@pytest.fixture(scope="module")
def expected(reference):
    def lengths(items, at_least=0.0):
        return [max(np.linalg.norm(reference.item(item)), at_least) for item in items]

    return lengths


def test_the_card(version):
    card = json.loads((version / "model_card.json").read_text(encoding="utf-8"))
    assert card["signatures"]["norm"] == {
        "does": "the lengths of the vectors of some items",
        "inputs": {
            "items": "string [B, N]: item ids",
            "at_least": "float32 [B]: the least that comes back, NaN is no limit",
        },
        "outputs": {"norm": "float32 [B, N]: 0 and more"},
    }
    found = Signature.from_card(card)
    assert found["norm"] == Signature("norm", Norm.does, Norm.inputs, Norm.outputs)
    # The others are there as ever.
    assert set(found) == {*RANKED, "score", "user_vector", "item_vector", "similar", "norm"}
    assert found["recommend"].kinds == {
        "user_id": "user",
        "history": "item",
        "history_age": "age",
        "exclude": "item",
        "include": "choice",
        "k": "count",
    }


def test_warm_up_requests_have_items_of_the_export_and_what_changes_nothing(version, events):
    asked = [inputs for name, inputs in iterate_warmup(version) if name == "norm"]
    assert asked
    for inputs in asked:
        ids = [item.decode() for item in inputs["items"].ravel()]
        assert (events.catalogue.vocabulary.rows(ids) >= 0).any()
        assert (inputs["items"][:, 0] == b"").all()
        assert np.isnan(inputs["at_least"]).all()


def test_an_export_without_it_says_so(version, model, events, tmp_path, caplog):
    shutil.copytree(version, tmp_path / "shop" / "1")
    export(model, events, tmp_path / "shop", deployment=False)
    assert "the latest version has the signatures norm, which this one lacks" in caplog.text


@pytest.mark.acceptance
def test_onnx(version, tmp_path, expected):
    pytest.importorskip("tf2onnx", reason='needs ".[onnx]"')
    runtime = pytest.importorskip("onnxruntime", reason='needs ".[onnx]"')
    assert "norm" not in export_onnx(version, tmp_path / "onnx")
    session = runtime.InferenceSession(
        tmp_path / "onnx" / "norm.onnx", providers=["CPUExecutionProvider"]
    )
    items = ["item4", "käse 0"]
    request = {"items": np.array([items], object), "at_least": np.array([np.nan], np.float32)}
    np.testing.assert_allclose(session.run(["norm"], request)[0][0], expected(items), rtol=1e-5)


@pytest.mark.slow
def test_the_server_describes_it_and_clients_ask_it(version, server_process, expected):
    with server_process(version.parent) as server:
        found = json.loads(urllib3.request("GET", f"{server.rest}/openapi.json").data)
        body = found["paths"]["/v1/models/shop:predict"]["post"]["requestBody"]["content"]
        forms = {
            form["properties"]["signature_name"]["const"]: form
            for form in body["application/json"]["schema"]["anyOf"]
            if "inputs" in form["properties"]
        }
        assert forms["norm"]["description"] == Norm.does
        properties = forms["norm"]["properties"]["inputs"]["properties"]
        assert properties["items"]["description"] == "item ids"
        assert properties["items"]["items"]["type"] == "array"
        for address in (server.rest, server.grpc):
            with Client(address, model="shop") as client:
                frame = {"items": [["item4"], ["käse 0", "item4"]], "at_least": [np.nan, 1e3]}
                answer = client.predict(frame, "norm")["norm"]
            # Lists that differ in length are filled up, so only what was asked is compared.
            np.testing.assert_allclose(answer[0][1:2], expected(["item4"]), rtol=1e-5)
            both = expected(["käse 0", "item4"], at_least=1e3)
            np.testing.assert_allclose(answer[1][1:3], both, rtol=1e-5)
