"""onnxruntime answers as the model does."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import ParityLimits, export, export_onnx, onnx_export
from tfrec_fusion.export.agreement import difference
from tfrec_fusion.export.signatures import CATALOGUE_SIGNATURES
from tfrec_fusion.features import State

pytest.importorskip("tf2onnx", reason='needs ".[onnx]"')
onnxruntime = pytest.importorskip("onnxruntime", reason='needs ".[onnx]"')

_EMPTY = {"tensor(string)": object, "tensor(bool)": bool}

NOT_ASKED = {"explain", "search", "search_text", "search_vector"}
NAMES = {one.name for one in CATALOGUE_SIGNATURES} - NOT_ASKED


class Sessions:
    """What onnxruntime answers, from a folder of signatures."""

    def __init__(self, folder):
        self._sessions = {
            path.stem: onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            for path in folder.iterdir()
        }

    def __iter__(self):
        return iter(self._sessions)

    def answer(self, signature, inputs):
        session = self._sessions[signature]
        # onnxruntime takes strings only as UTF-8.
        given = {
            name: np.where(value == b"\xff\xfe", "not UTF-8", value)
            if value.dtype == object and value.size
            else value
            for name, value in inputs.items()
        }
        batch = len(next(iter(inputs.values())))
        for spec in session.get_inputs():  # what the golden requests leave out changes nothing
            if spec.name not in given:
                given[spec.name] = np.zeros([batch, 0][: len(spec.shape)], _EMPTY[spec.type])
        names = [output.name for output in session.get_outputs()]
        outputs = dict(zip(names, session.run(names, given), strict=True))
        for name, value in outputs.items():
            if value.dtype == object:
                encoded = np.empty(value.size, object)
                encoded[:] = [item.encode() for item in value.flat]
                outputs[name] = encoded.reshape(value.shape)
        return outputs


def _check_two_tower(golden, reference, folder):
    sessions = Sessions(folder)
    assert set(sessions) == NAMES
    for signature, inputs in golden.two_tower_requests(reference):
        outputs = sessions.answer(signature, inputs)
        golden.check_two_tower(reference, signature, inputs, outputs)


def _check_ranker(golden, ranker, folder):
    model, events, _ = ranker
    sessions = Sessions(folder)
    assert set(sessions) == {"serving_default", "score"}
    for signature, inputs, asked in golden.ranker_requests(model, events):
        if signature in sessions:
            logits = golden.ranker_logits(model, events, asked)
            golden.check_ranker(logits, signature, sessions.answer(signature, inputs))


@pytest.mark.slow
def test_a_two_tower_answers_all_golden_requests(exported, golden, reference, tmp_path):
    assert export_onnx(exported, tmp_path / "onnx") == {}
    _check_two_tower(golden, reference, tmp_path / "onnx")


@pytest.mark.acceptance
def test_decayed_histories(decayed, events, tmp_path):
    model, version = decayed
    assert export_onnx(version, tmp_path / "onnx") == {}
    sessions, ids = Sessions(tmp_path / "onnx"), events.catalogue.vocabulary.ids
    users = events.users.ids[:6].astype(object)
    expected = model.scorer(State.of(events))(np.arange(6, dtype=np.int32))
    asked = {"user_id": users, "item_id": np.tile(ids, (6, 1)).astype(object)}
    np.testing.assert_allclose(sessions.answer("score", asked)["score"], expected, atol=1e-5)
    names = ("history", "exclude", "include")
    asked = {name: np.full((1, 1), "", object) for name in names}
    asked |= {"user_id": np.array([""], object), "k": np.array([5], np.int32)}
    asked |= {"history": ids[None, [8, 5, 3]].astype(object), "exclude_seen": np.array([False])}
    asked["history_age"] = np.array([[90.0, 30.0, 150.0]], np.float32)
    found = sessions.answer("recommend", asked)
    loaded = tf.saved_model.load(str(version)).signatures["recommend"]
    served = loaded(**{name: tf.constant(value) for name, value in asked.items()})
    np.testing.assert_allclose(found["score"], served["score"], atol=1e-5)
    weights = model.scores.weights * model.scores.trend.of(State.of(events))
    # The latest is of 30 days ago, and a weight halves in 60 days: 3, 8 and 5 are 120, 60 and 0
    # days older, and have 2, 1 and 0 later items.
    wanted = weights[5] + 0.5 * 0.8 * weights[8] + 0.25 * 0.64 * weights[3]
    rows = events.catalogue.vocabulary.rows([one.decode() for one in found["item_id"][0]])
    np.testing.assert_allclose(found["score"][0], wanted[rows], atol=1e-5)


@pytest.mark.acceptance
def test_a_blend_answers_all_golden_requests(blended, golden, tmp_path):
    version, reference = blended
    assert export_onnx(version, tmp_path / "onnx") == {}
    sessions = Sessions(tmp_path / "onnx")
    assert {"serving_default", "recommend", "score", "explain"} <= set(sessions)
    for signature, inputs in golden.two_tower_requests(reference):
        if signature in sessions and signature != "similar":
            outputs = sessions.answer(signature, inputs)
            golden.check_two_tower(reference, signature, inputs, outputs)


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param("float32", marks=pytest.mark.slow),
        pytest.param("int8", marks=pytest.mark.acceptance),
    ],
)
def test_shares_come_through(model, events, tmp_path, precision):
    limits = None if precision == "float32" else ParityLimits(overlap_10=0.0, ndcg_loss=1.0)
    options = {"precision": precision, "limits": limits, "deployment": False, "explain": True}
    version = export(model, events, tmp_path / "shop", **options)
    assert export_onnx(version, tmp_path / "onnx") == {}
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "explain.onnx")
    inputs = {
        "user_id": np.array(["ü 3", "nobody"], object),
        "history": np.array([["", ""], ["item4", "item9"]], object),
        "history_age": np.array([[np.nan, np.nan], [3.0, 60.0]], np.float32),
        "item_id": np.array([["item4", "gone"], ["item14", "item24"]], object),
    }
    names = [output.name for output in session.get_outputs()]
    assert set(names) == {"score", "share_id", "share_text", "share_context", "bias"}
    found = dict(zip(names, session.run(names, inputs), strict=True))
    explain = tf.saved_model.load(str(version)).signatures["explain"]
    expected = explain(**{name: tf.constant(value) for name, value in inputs.items()})
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5)


@pytest.mark.slow
def test_a_ranker_answers_all_golden_requests(golden, ranker, tmp_path):
    left_out = export_onnx(ranker("all")[2], tmp_path / "onnx")
    reason = "ONNX has no operation for ParseExampleV2"
    assert left_out == {"classify": reason, "regress": reason}
    _check_ranker(golden, ranker("all"), tmp_path / "onnx")


@pytest.mark.acceptance
def test_declared_features(unhashed, tmp_path):
    version, asked, scores = unhashed
    export_onnx(version, tmp_path / "onnx")
    found = Sessions(tmp_path / "onnx").answer("score", asked)["score"]
    np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-5)


@pytest.mark.acceptance
@pytest.mark.parametrize(
    "name",
    [
        *("caser", "decayed_history", "esasrec", "gru4rec", "hstu", "sasrec"),
        *("sum", "user both", "text only", "no times", "initial"),
        *("gate", "user id", "id only", "no trend", "no times, user id"),
    ],
)
def test_every_two_tower_does(golden, references, name, tmp_path):
    reference = references[name]
    base = tmp_path / "shop"
    version = export(reference.model, reference.events, base, deployment=False, audience=True)
    assert export_onnx(version, tmp_path / "onnx") == {}
    _check_two_tower(golden, reference, tmp_path / "onnx")


RULES = {
    "boost": [{"match": {"brand": "ä"}, "factor": 2.0}],
    "block": [{"item": "item 3"}],
    "pin": [{"item": "item 5", "position": 2}],
    "cap": [{"by": "brand", "at_most": 2}],
}


@pytest.mark.parametrize(
    ("precision", "rules"),
    [
        pytest.param("float32", RULES, marks=pytest.mark.acceptance),
        pytest.param("int8", None, marks=pytest.mark.acceptance),
    ],
)
def test_filters_and_rules_answer_as_the_saved_model(make_model, tmp_path, precision, rules):
    """Of a catalogue that is large enough to choose by groups of items."""
    rng, n = np.random.default_rng(0), 2000
    frame = pd.DataFrame({"item_id": [f"item {i}" for i in range(n)]})
    frame["brand"] = rng.choice(["a", "ä", "b", ""], n)
    frame["price"] = rng.choice([1.0, 2.0, 3.0, np.nan], n)
    frame["in_stock"] = rng.random(n) < 0.7
    rows = {"user_id": rng.integers(0, 30, 600).astype(str)}
    rows["item_id"] = frame.item_id.to_numpy()[rng.integers(0, n, 600)]
    rows["timestamp"] = 1.6e9 + 1e7 * rng.random(600)
    # No two items score alike: among those that do, a cap may keep another one.
    catalogue = Catalogue(frame, {"text": rng.normal(size=(n, 12)).astype(np.float32)})
    events = Interactions.from_frame(pd.DataFrame(rows), catalogue, duplicates="first")
    limits = None if precision == "float32" else ParityLimits(overlap_10=0.0, ndcg_loss=1.0)
    version = export(
        make_model(events),
        events,
        tmp_path / "shop",
        deployment=False,
        filters=["brand", "price", "in_stock"],
        rules=rules,
        precision=precision,
        limits=limits,
    )
    assert export_onnx(version, tmp_path / "onnx") == {}
    sessions, loaded = Sessions(tmp_path / "onnx"), tf.saved_model.load(str(version))

    def texts(choice, width):
        drawn = np.array(rng.choice([*choice, "", "?"], (batch, width)), object)
        return np.where(rng.random((batch, 1)) < 0.5, "", drawn)

    specs = loaded.signatures["recommend"].structured_input_signature[1]
    for batch, k in [(0, 3), (1, 3), (4, 3), (4, 15), (3, 0), (2, 3000), (8, 20), (8, 1), (5, 40)]:
        inputs = {
            "user_id": np.array(rng.integers(0, 40, batch).astype(str), object),
            "history": texts(frame.item_id, rng.integers(0, 5)),
            "history_age": rng.exponential(30, (batch, rng.integers(0, 5))).astype(np.float32),
            "exclude": texts(frame.item_id, rng.integers(0, 5)),
            "include": texts(frame.item_id, rng.choice([0, 60])),
            "exclude_seen": rng.random(batch) < 0.5,
            "brand": texts(["a", "ä"], 2),
            "price_min": rng.choice([1.5, np.nan], batch).astype(np.float32),
            "price_max": rng.choice([2.5, np.nan], batch).astype(np.float32),
            "in_stock": rng.random(batch) < 0.5,
            "k": np.full(batch, k, np.int32),
        }
        given = {name: tf.constant(v, specs[name].dtype) for name, v in inputs.items()}
        expected = loaded.signatures["recommend"](**given)
        expected = {name: value.numpy() for name, value in expected.items()}
        assert difference(sessions.answer("recommend", inputs), expected) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["id only", "no times"])
def test_every_ranker_does(golden, ranker, name, tmp_path):
    export_onnx(ranker(name)[2], tmp_path / "onnx")
    _check_ranker(golden, ranker(name), tmp_path / "onnx")


@pytest.mark.acceptance
@pytest.mark.parametrize("name", ["auto_int", "bst", "dlrm", "din", "final_mlp", "mixture"])
def test_backbones_of_other_layers_do(golden, ranker, name, tmp_path):
    export_onnx(ranker(name)[2], tmp_path / "onnx")
    _check_ranker(golden, ranker(name), tmp_path / "onnx")


def test_what_is_too_large_or_differs_is_refused_and_nothing_written(
    exported, monkeypatch, tmp_path
):
    monkeypatch.setattr(onnx_export, "_LARGEST", 0)
    with pytest.raises(InputError, match=r"no signature can be.*score.* GiB of variables, and an"):
        export_onnx(exported, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
