"""Training of a run's model, with checkpoints in its folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfrec_fusion._compat import keras
from tfrec_fusion.config import read_json
from tfrec_fusion.data import Split
from tfrec_fusion.files import new_file
from tfrec_fusion.training.checkpoints import Checkpoints
from tfrec_fusion.training.choosing import chosen_by
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.model_sections import AUTO
from tfrec_fusion.training.progress import ProgressBar
from tfrec_fusion.training.recipes import build_model, compile_model, training_batches
from tfrec_fusion.training.save_checkpoints import SaveCheckpoints
from tfrec_fusion.training.steps_per_execution import StepsPerExecution
from tfrec_fusion.training.tensorboard import TensorBoard
from tfrec_fusion.training.time_budget import BudgetPlan, plan_budget

LOGS = "logs"
"""Name of the folder of TensorBoard's events."""


class RunTraining:
    """Trains the model of a `Run`; only while its folder's lock is held.

    Args:
      folder: of the run.
      config: of the run, resolved.
      split: the events.
      checkpoints: of the run.
    """

    def __init__(self, folder: Path, config: RunConfig, split: Split, checkpoints: Checkpoints):
        self.folder, self.config, self.split = folder, config, split
        self._checkpoints = checkpoints

    @property
    def _done(self) -> int:
        return max(self._checkpoints.epochs(), default=0)

    def fit(
        self,
        start: Callable[[], keras.Model],
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        """Trains the epochs that no checkpoint has, or fits a model without epochs.

        Args:
          start: makes the model before the first step, if the config's model is trained in epochs.
          callbacks: see `Run.train`.
        """
        config: Any = self.config  # resolved
        started = time.perf_counter()
        self._checkpoints.clean()
        done = self._done
        keras.utils.set_random_seed(config.seed)
        if config.model.kind == AUTO:
            consoles = [one.console for one in callbacks if isinstance(one, ProgressBar)]
            found = chosen_by(config, self.split, progress=consoles[0] if consoles else False)
            self._write("auto.json", json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
            self._checkpoints.save(found.model, 0, {})
            return
        if not config.by_gradient:
            model = build_model(config, self.split.train)
            self._checkpoints.save(model.fit(self.split.train), 0, {})
            return
        model = start()
        if config.epochs == 0:
            self._checkpoints.save(model, 0, {})
            return
        batches = self._batches(model, config.steps_per_epoch)
        if config.time_budget is not None:
            planned = self._planned(model, batches, started, callbacks)
            if planned.steps_per_epoch is not None:
                batches = self._batches(model, planned.steps_per_epoch)
        self._compile(model, config.epochs * len(batches))
        # A checkpoint of epoch 0 has no optimizer state.
        described = self._checkpoints.restore(model) if done else None
        board = TensorBoard(
            self.folder / LOGS,
            split=self.split,
            every=config.evaluate_every,
            config=config.model_dump(mode="json"),
        )
        history = described["history"] if described else {}
        keep = SaveCheckpoints(self._checkpoints, config.seed, history)
        model.fit(
            batches,
            initial_epoch=done,
            epochs=config.epochs,
            verbose=0,
            callbacks=[keep, StepsPerExecution(), *callbacks, board],
        )

    def _batches(self, model, steps_per_epoch: int | None):
        return training_batches(
            self.config,
            self.split.train,
            self._done,
            model.spec.context_side,
            steps_per_epoch,
            model.spec.event_side,
        )

    def _compile(self, model, steps: int) -> None:
        compile_model(self.config, model, steps)

    def _planned(self, model, batches, started: float, callbacks) -> BudgetPlan:
        """The plan on disk, or a new one before the first complete epoch."""
        config: Any = self.config
        path = self.folder / "plan.json"
        if self._done and path.is_file():
            return BudgetPlan(**read_json(path, "run"))
        planned = plan_budget(
            model,
            batches,
            self._compile,
            epochs=config.epochs,
            budget=config.time_budget,
            started=started,
        )
        self._write("plan.json", json.dumps(planned._asdict()))
        for callback in callbacks:
            if isinstance(callback, ProgressBar):
                callback.say(planned.told(config.time_budget, config.epochs, len(batches)))
        return planned

    def _write(self, name: str, text: str) -> None:
        with new_file(self.folder / name) as file:
            file.write(text.encode())
