import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.features import State
from tfrec_fusion.models import Ranker


def _check_in_a_clean_process(golden, cases, folder):
    todo, expected = [], []
    for model, events, version in cases:
        for signature, inputs, asked in golden.ranker_requests(model, events):
            todo.append((str(version), signature, inputs))
            expected.append(golden.ranker_logits(model, events, asked))
    (folder / "requests").write_bytes(pickle.dumps(todo))
    script = Path(__file__).parents[1] / "fixtures" / "clean_process.py"
    command = [sys.executable, script, folder / "requests", folder / "answers"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = pickle.loads((folder / "answers").read_bytes())
    for (_, signature, _), logits, outputs in zip(todo, expected, answers, strict=True):
        golden.check_ranker(logits, signature, outputs)


@pytest.mark.slow
def test_a_process_without_the_package_answers_as_the_model(ranker, golden, tmp_path):
    _check_in_a_clean_process(golden, [ranker("all")], tmp_path)


@pytest.mark.acceptance
def test_a_process_without_the_package_answers_as_more_models(ranker, golden, tmp_path):
    _check_in_a_clean_process(golden, [ranker("id only"), ranker("no times")], tmp_path)


@pytest.mark.slow
def test_a_process_without_the_package_answers_by_fields_and_by_rates(ranker, golden, tmp_path):
    _check_in_a_clean_process(golden, [ranker("auto_int"), ranker("serial")], tmp_path)


@pytest.mark.acceptance
def test_a_process_without_the_package_answers_as_every_backbone(ranker, golden, tmp_path):
    quick = ("all", "id only", "no times", "auto_int", "serial")
    names = [name for name in golden.RANKERS if name not in quick]
    _check_in_a_clean_process(golden, [ranker(name) for name in names], tmp_path)


@pytest.fixture(scope="module")
def served(ranker):
    model, events, version = ranker("all")
    return model, events, tf.saved_model.load(str(version))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["no times", "serial"])
def test_scores_equal_the_scorer(ranker, name):
    model, events, version = ranker(name)
    loaded = tf.saved_model.load(str(version))
    items = np.tile(events.catalogue.vocabulary.ids, (len(events.users), 1))
    found = loaded.signatures["serving_default"](
        user_id=tf.constant(events.users.ids), item_id=tf.constant(items)
    )
    expected = model.scorer(State.of(events))(np.arange(len(events.users), dtype=np.int32))
    np.testing.assert_allclose(found["score"], expected, rtol=1e-6, atol=1e-5)


def test_signatures_are_as_the_card_describes(ranker, served):
    card = json.loads((ranker("all")[2] / "model_card.json").read_text(encoding="utf-8"))
    signatures = served[2].signatures
    assert set(card["signatures"]) == set(signatures)
    for name, described in card["signatures"].items():
        function = signatures[name]
        actual = function.structured_input_signature[1], function.structured_outputs
        for specs, texts in zip(actual, (described["inputs"], described["outputs"]), strict=True):
            assert set(specs) == set(texts)
            for key, spec in specs.items():
                dtype, _, shape = texts[key].partition(":")[0].partition(" ")
                assert dtype == spec.dtype.name
                assert shape.count(",") + 1 == spec.shape.rank


def test_classifiers_and_regressors_have_what_tf_serving_asks_for(served):
    """One input, `inputs`; outputs `classes` and `scores` [B, C], or `outputs` [B]."""
    signatures = served[2].signatures
    assert set(signatures["classify"].structured_input_signature[1]) == {"inputs"}
    assert set(signatures["classify"].structured_outputs) == {"classes", "scores"}
    assert set(signatures["regress"].structured_input_signature[1]) == {"inputs"}
    assert set(signatures["regress"].structured_outputs) == {"outputs"}


def test_repeated_and_unknown_ids_of_a_history_change_nothing(served):
    _, events, loaded = served
    item = events.catalogue.vocabulary.ids

    def score(*history, ages=()):
        return loaded.signatures["score"](
            user_id=tf.constant(["ü 3"]),
            item_id=tf.constant([item[:5].tolist()]),
            history=tf.constant([history]),
            history_age=tf.constant([ages], tf.float32),
            hour=tf.constant([3.0], tf.float64),
            channel=tf.constant(["web"]),
        )["score"].numpy()

    once = score(item[4], item[9])
    again = score("", item[4], "x", item[9], item[4], item[9])
    np.testing.assert_allclose(once, again, atol=1e-5)
    assert np.abs(once - score(item[4])).max() > 1e-3
    # Of a repeated item the oldest counts, and the order of the others does not.
    old = score(item[4], item[9], ages=[50, 3])
    again = score(item[9], "", item[4], "x", item[4], ages=[3, 0, 7, 90, 50])
    np.testing.assert_allclose(old, again, atol=1e-5)
    assert np.abs(once - old).max() > 1e-3


def test_a_diverged_ranker(golden, tmp_path):
    events = golden.ranker_events()
    model = Ranker(events, dim=4, hidden=[4])
    model.head.linear.bias.assign([np.nan])
    with pytest.raises(InputError, match="1 of the model's variables are not finite"):
        export(model, events, tmp_path / "rank")


def test_a_recommender_does_not_take_a_ranker(ranker):
    with pytest.raises(InputError, match="ranker scores the items that a request names"):
        Recommender(ranker("all")[2])
