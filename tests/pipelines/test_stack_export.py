"""An exported stack answers as the stack does, whatever runs it."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import explain
from tfrec_fusion.export import Recommender, export, export_onnx
from tfrec_fusion.features import State
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.classic import EASE, RecentPopularity
from tfrec_fusion.pipelines import Stack, StackConfig
from tfrec_fusion.pipelines.stack_head import stack_head
from tfrec_fusion.pipelines.stack_inputs import StackInputs

CLEAN = Path(__file__).parents[1] / "fixtures" / "clean_process.py"


@pytest.fixture(scope="module")
def stacked(make_shop_events, tmp_path_factory):
    """A stack whose head is random, and its export."""
    events = make_shop_events()
    tf.keras.utils.set_random_seed(1)
    members = {
        "two_tower": TwoTower(events, dim=8),
        "ease": EASE(l2=1.0).fit(events),
        "recent": RecentPopularity().fit(events),
    }
    config = StackConfig(candidates=10, hidden=(4,), members={name: {} for name in members})
    inputs = StackInputs(config, members, ("price",), State.of(events))
    head = stack_head(inputs.graph.width(3), config.hidden, config.dropout, 2)
    stack = Stack(members, head, candidates=10, hidden=(4,), cold="two_tower")
    return stack, events, export(stack, events, tmp_path_factory.mktemp("stacked") / "shop")


def _scores(stack, events):
    users = np.arange(6, dtype=np.int32)
    asked = {
        "user_id": events.users.ids[:6].astype(object),
        "item_id": np.tile(events.catalogue.vocabulary.ids, (6, 1)).astype(object),
    }
    return asked, stack.scorer(State.of(events))(users)


def test_a_recommender_ranks_as_the_scorer(stacked):
    stack, events, version = stacked
    scores = stack.scorer(State.of(events))(np.array([0]))[0]
    scores[events.histories().of(0)] = -np.inf
    best = events.catalogue.vocabulary.ids[np.argsort(-scores, kind="stable")[:5]]
    found = Recommender(version).recommend(events.users.ids[0], k=5)
    assert [item for item, _ in found] == best.tolist()


def test_its_scores_are_not_split_into_shares(stacked, tmp_path):
    stack, events, _ = stacked
    with pytest.raises(InputError, match="explain is for a TwoTower"):
        export(stack, events, tmp_path / "shop", explain=True)
    with pytest.raises(InputError, match="explain: model must be a TwoTower"):
        explain(stack, events, [events.users.ids[0]], [events.catalogue.vocabulary.ids[0]])


@pytest.mark.slow
def test_a_process_without_the_package_and_onnx_answer_as_the_scorer(stacked, tmp_path):
    stack, events, version = stacked
    asked, expected = _scores(stack, events)
    with open(tmp_path / "requests", "wb") as file:
        pickle.dump([(str(version), "score", asked)], file)
    command = [sys.executable, CLEAN, tmp_path / "requests", tmp_path / "answers"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    (answer,) = pickle.loads((tmp_path / "answers").read_bytes())
    np.testing.assert_allclose(answer["score"], expected, atol=1e-5)
    runtime = pytest.importorskip("onnxruntime", reason='needs ".[onnx]"')
    assert export_onnx(version, tmp_path / "onnx") == {}
    session = runtime.InferenceSession(tmp_path / "onnx" / "score.onnx")
    for spec in session.get_inputs():
        asked.setdefault(spec.name, np.zeros([6, 0], object))
    (found,) = session.run(["score"], asked)
    np.testing.assert_allclose(found, expected, atol=1e-5)
