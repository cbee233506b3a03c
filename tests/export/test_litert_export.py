"""LiteRT's interpreter answers as the ranker does."""

import json
import shutil
import warnings

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import export_litert


def _check(golden, ranker, folder):
    """Of all golden requests with items; the SavedModel's stored history comes in the request."""
    model, events, version = ranker
    path = export_litert(version, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_path=str(path))
    runner = interpreter.get_signature_runner()
    for signature, _, asked in golden.ranker_requests(model, events):
        batch = golden.ranker_batch(model, events, asked)
        if "channel" in asked:
            texts = Vocabulary.load(folder / "channel.txt").rows(asked["channel"])
            batch["channel"] = np.where(asked["channel"] == "", -2, texts).astype(np.int32)
            batch["hour"] = asked["hour"].astype(np.float32)
        given = {name: np.asarray(batch[name]) for name in runner.get_input_details()}
        if signature not in ("classify", "regress") and batch["item"].shape.num_elements():
            logits = golden.ranker_logits(model, events, asked)
            golden.check_ranker(logits, signature, runner(**given))
    return set(runner.get_input_details()), {file.name for file in folder.iterdir()}


@pytest.mark.slow
def test_a_ranker_answers_all_golden_requests(golden, ranker, tmp_path):
    inputs, files = _check(golden, ranker("all"), tmp_path / "litert")
    assert inputs == {"user", "item", "history", "history_age", "hour", "channel"}
    assert files == {"ranker.tflite", "items.txt", "users.txt", "channel.txt"}
    model, events, _ = ranker("all")
    written = Vocabulary.load(tmp_path / "litert" / "channel.txt").ids.tolist()
    assert written == list(model.spec.context_side.features[1].values)
    items = Vocabulary.load(tmp_path / "litert" / "items.txt").ids.tolist()
    assert items == events.catalogue.vocabulary.ids.tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "inputs", "files"),
    [
        ("id only", {"user", "item"}, {"users.txt"}),
        ("no times", {"item", "history", "history_age"}, set()),
    ],
)
def test_others_take_what_they_read(golden, ranker, tmp_path, name, inputs, files):
    found = _check(golden, ranker(name), tmp_path / "litert")
    assert found == (inputs, files | {"ranker.tflite", "items.txt"})


def test_a_two_tower_is_refused_and_nothing_written(exported, tmp_path):
    with pytest.raises(InputError, match=r"only a ranker can be converted, as LiteRT has no str"):
        export_litert(exported, tmp_path / "litert")
    assert not (tmp_path / "litert").exists()


def test_texts_and_releases_that_do_not_fit_are_refused_before_the_conversion(ranker, tmp_path):
    version = tmp_path / "1"
    shutil.copytree(ranker("all")[2], version)
    card = json.loads((version / "model_card.json").read_text(encoding="utf-8"))

    def refused(spec, says):
        changed = json.dumps(card | {"data_spec": card["data_spec"] | spec})
        (version / "model_card.json").write_text(changed, encoding="utf-8")
        with pytest.raises(InputError, match=says):
            export_litert(version, tmp_path / "litert")
        assert not (tmp_path / "litert").exists()

    refused({"context_numbers": ["hour"]}, "written by an earlier release; export the model again")
    side = card["data_spec"]["context_side"]
    side["features"][1]["values"][0] = "a\nb"
    refused({"context_side": side}, r"1 texts of the context's 'channel' hold line .* 'a\\nb'")
