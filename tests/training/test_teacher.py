"""A run whose ranker learns from a saved teacher."""

import numpy as np
import pytest

from tfrec_fusion._compat import keras
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.models import Ranker, TwoTower
from tfrec_fusion.pipelines import RankerEnsemble
from tfrec_fusion.training.inputs import load_split
from tfrec_fusion.training.recipes import trained_model, training_batches

STUDENT = {"kind": "ranker", "dim": 4, "hidden": [4], "distillation": 1.0}


def _config(config, teacher, **model):
    examples = {"kind": "ranking", "negatives": 2, "teacher": str(teacher)}
    return config(model=STUDENT | model, examples=examples, epochs=1)


@pytest.fixture
def train(config):
    return load_split(config(model=STUDENT)).train


def _teacher(train, seed=0):
    keras.utils.set_random_seed(seed)
    model = Ranker(train, dim=4, hidden=[4])
    model.head.linear.bias.assign([0.5])
    return model


@pytest.mark.parametrize("kind", ["ranker", "ensemble"])
def test_batches_have_the_logits_of_a_saved_teacher(config, train, kind, tmp_path):
    teacher, path = _teacher(train), tmp_path / "teacher.keras"
    if kind == "ensemble":
        teacher, path = RankerEnsemble({"one": teacher, "two": _teacher(train, 1)}), tmp_path / "t"
    teacher.save(path)
    resolved = _config(config, path).resolved(train)
    batch = next(iter(training_batches(resolved, train)))
    np.testing.assert_allclose(batch["teacher"], teacher(batch), rtol=1e-4, atol=1e-5)
    plain = next(iter(ranking_examples(train, 16, negatives=2, seed=resolved.seed)))
    np.testing.assert_array_equal(batch["item"], plain["item"])


@pytest.mark.slow
def test_a_run_trains_a_student(config, train, tmp_path):
    _teacher(train).save(tmp_path / "teacher.keras")
    resolved = _config(config, tmp_path / "teacher.keras").resolved(train)
    model = trained_model(resolved, train)
    assert model.config.distillation == 1 and model.optimizer.iterations > 0


def test_a_path_without_a_teacher_is_named(config, train, tmp_path):
    TwoTower(train, dim=4).save(tmp_path / "other.keras")
    for path, says in [
        ("none.keras", "examples.teacher: there is no such file"),
        ("none", "RankerEnsemble: the path has no saved ranker_ensemble"),
        ("other.keras", "must be a saved Ranker or RankerEnsemble. Received: TwoTower"),
    ]:
        resolved = _config(config, tmp_path / path).resolved(train)
        with pytest.raises(InputError, match=says):
            training_batches(resolved, train)
