import json
import time

import numpy as np
import pytest

from tfrec_fusion._compat import keras
from tfrec_fusion.errors import InputError
from tfrec_fusion.models import TwoTower
from tfrec_fusion.optimizers import adam
from tfrec_fusion.training import Run
from tfrec_fusion.training.inputs import load_split
from tfrec_fusion.training.time_budget import BudgetPlan, plan_budget, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("45", 45), (" 1.5H ", 5400)]
)
def test_times_are_read(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "10 min", "m20", "0s", "-5", "nan"])
def test_other_texts_are_no_times(text):
    with pytest.raises(ValueError, match="must be"):
        seconds_of(text)


def _compiled(model, steps):
    model.compile(adam(1e-2, steps=steps))


def test_timing_leaves_the_model_as_it_was_and_the_plan_fits(config):
    train = load_split(config()).train
    model = TwoTower(train, dim=4, trend_hidden=2)
    batches = train.batches(4)
    before = model.get_weights()
    now = time.perf_counter()
    enough = plan_budget(model, batches, _compiled, epochs=2, budget=1e5, started=now - 10)
    assert enough.steps_per_epoch is None
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(InputError, match=r"time_budget: preparing takes \d+ s .* Received: 10 s"):
        plan_budget(model, batches, _compiled, epochs=2, budget=10, started=now - 12)


@pytest.mark.slow
def test_a_run_keeps_to_its_plan_after_an_interruption(config, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "tfrec_fusion.training.run_training.plan_budget", lambda *_, **__: BudgetPlan(2, 0.1)
    )
    asked = config(time_budget="2m")
    assert asked.time_budget == 120

    class Count(keras.callbacks.Callback):
        def __init__(self, stop):
            super().__init__()
            self.stop, self.steps, self.planned = stop, [], None

        def on_train_batch_end(self, batch, logs=None):
            self.steps.append(int(self.model.optimizer.iterations.numpy()))
            self.planned = self.model.optimizer.get_config()["learning_rate"]["config"]

        def on_epoch_end(self, epoch, logs=None):
            if epoch + 1 == self.stop:
                raise KeyboardInterrupt

    run = Run.start(tmp_path / "run", asked)
    first = Count(stop=1)
    with pytest.raises(KeyboardInterrupt):
        run.train([first])
    # The learning rate decays over the steps that are planned: two epochs of two.
    assert first.steps == [1, 2]
    assert first.planned["total_steps"] == 4
    assert json.loads((tmp_path / "run/plan.json").read_text())["steps_per_epoch"] == 2
    monkeypatch.delattr("tfrec_fusion.training.run_training.plan_budget")
    second = Count(stop=None)
    Run.start(tmp_path / "run", asked).train([second])
    assert second.steps == [3, 4]
