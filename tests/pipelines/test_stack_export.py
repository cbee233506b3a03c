"""An exported stack answers as the stack does, whatever runs it."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stacked import scores_of_users

from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import explain
from tfrec_fusion.export import Recommender, export, export_onnx
from tfrec_fusion.features import State

CLEAN = Path(__file__).parents[1] / "fixtures" / "clean_process.py"


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


@pytest.mark.acceptance
def test_a_process_without_the_package_and_onnx_answer_as_the_scorer(stacked, tmp_path):
    stack, events, version = stacked
    asked, expected = scores_of_users(stack, events)
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
