"""Exports of a model whose users have several vectors, of which the best one counts."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import explain
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.features import State
from tfrec_fusion.models.explained.shares import share_output

SCRIPT = Path(__file__).parents[1] / "fixtures" / "clean_process.py"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def interested(events, make_model):
    options = {"interests": 3, "max_len": 4}
    return make_model(events, user="comirec", user_options=options)


@pytest.fixture(scope="module")
def scores(interested, events):
    return interested.scorer(State.of(events))(np.arange(len(events.users), dtype=np.int32))


@pytest.fixture(scope="module")
def version(interested, events, tmp_path_factory):
    base = tmp_path_factory.mktemp("interests") / "shop"
    return export(interested, events, base, deployment=False, explain=True, filters=["price"])


@pytest.fixture(scope="module")
def asked(events):
    ids = events.catalogue.vocabulary.ids
    users = events.users.ids[:5].astype(object)
    return {"user_id": users, "item_id": np.tile(ids, (5, 1)).astype(object)}


def _check_best(found, expected, events, row, k):
    """The k best of those that the user has not had, in order."""
    had = State.of(events).histories.of(row)
    left = np.setdiff1d(np.arange(expected.shape[1]), had)
    order = left[np.argsort(-expected[row][left], kind="stable")][:k]
    rows = events.catalogue.vocabulary.rows([item for item, _ in found])
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_allclose([s for _, s in found], expected[row][order], rtol=1e-4, atol=1e-5)


def test_it_answers_without_this_package(version, scores, asked, events, tmp_path):
    requests = [(str(version), "score", asked)]
    (tmp_path / "requests").write_bytes(pickle.dumps(requests))
    command = [sys.executable, SCRIPT, tmp_path / "requests", tmp_path / "answers"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (answer,) = pickle.loads((tmp_path / "answers").read_bytes())
    np.testing.assert_allclose(answer["score"], scores[:5], rtol=1e-5, atol=1e-5)
    served = Recommender(version)
    for row in range(3):
        found = served.recommend(events.users.ids[row], k=7, exclude_seen=True)
        _check_best(found, scores, events, row, 7)
    # It has vectors of items, but not one of a user.
    assert {"similar", "explain", "score", "recommend"} <= set(served.card["signatures"])
    assert not {"user_vector", "item_vector"} & set(served.card["signatures"])


def test_shares_are_those_of_the_model(version, interested, events):
    items = events.catalogue.vocabulary.ids[:4].tolist()
    user = events.users.ids[0]
    expected = explain(interested, events, user, items)
    asked = {"user_id": [user], "item_id": [items], "history": [[""]]}
    asked = {name: tf.constant(value) for name, value in asked.items()}
    asked["history_age"] = tf.zeros([1, 0])
    found = tf.saved_model.load(str(version)).signatures["explain"](**asked)
    for name in ("score", "bias", *("id", "text", "context")):
        output = name if name in found else share_output(name)
        np.testing.assert_allclose(found[output][0], expected[name], rtol=1e-3, atol=1e-4)


def test_filters_keep_the_order(version, scores, events):
    found = Recommender(version).recommend(events.users.ids[0], k=5, filters={"price_max": 25})
    cheap = np.flatnonzero(events.catalogue.frame["price"] <= 25)
    order = cheap[np.argsort(-scores[0][cheap])]
    had = State.of(events).histories.of(0)
    order = [row for row in order if row not in had][:5]
    rows = events.catalogue.vocabulary.rows([item for item, _ in found])
    np.testing.assert_array_equal(rows, order)


@pytest.mark.acceptance
@pytest.mark.parametrize("precision", ["bfloat16", "float16", "int8"])
def test_fewer_bytes_keep_the_order(interested, scores, events, precision, tmp_path):
    base = tmp_path / "shop"
    served = Recommender(export(interested, events, base, deployment=False, precision=precision))
    same = 0
    for row in range(10):
        found = served.recommend(events.users.ids[row], k=5, exclude_seen=False)
        best = np.argsort(-scores[row])[:5]
        rows = events.catalogue.vocabulary.rows([item for item, _ in found])
        same += len(set(rows) & set(best))
    assert same >= 45


@pytest.mark.acceptance
def test_in_onnx_it_answers_as_the_model(version, scores, asked, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    from tfrec_fusion.export import export_onnx

    left_out = export_onnx(version, tmp_path / "onnx")
    assert not {"score", "recommend", "serving_default"} & set(left_out)
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "score.onnx"))
    (found,) = session.run(["score"], asked)
    np.testing.assert_allclose(found, scores[:5], rtol=1e-4, atol=1e-5)


def test_an_audience_needs_one_vector(interested, events, tmp_path):
    with pytest.raises(InputError, match="audience needs a model whose score is the dot product"):
        export(interested, events, tmp_path / "shop", audience=True)
