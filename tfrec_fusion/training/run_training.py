"""Training of a run's model, with checkpoints in its folder."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfrec_fusion._compat import keras
from tfrec_fusion.config import read_json
from tfrec_fusion.data import Split
from tfrec_fusion.files import new_file
from tfrec_fusion.training.calibrated_runs import calibrate_run, trained_events
from tfrec_fusion.training.checkpoints import Checkpoints
from tfrec_fusion.training.choosing import chosen_by
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.model_sections import AUTO, COMPOSED
from tfrec_fusion.training.progress import ProgressBar
from tfrec_fusion.training.recipes import (
    build_model,
    compile_model,
    composed,
    hard_negatives,
    training_batches,
)
from tfrec_fusion.training.save_checkpoints import SaveCheckpoints
from tfrec_fusion.training.steps_per_execution import StepsPerExecution
from tfrec_fusion.training.tensorboard import TensorBoard
from tfrec_fusion.training.time_budget import BudgetPlan, plan_budget

LOGS, MEMBERS = "logs", "members"
"""Names of the folders of TensorBoard's events, and of the parts of a model in training."""


class RunTraining:
    """Trains the model of a `Run`; only while its folder's lock is held.

    Args:
      folder: of the run.
      config: of the run, resolved.
      split: the events.
      checkpoints: of the run.
      logs: folder of TensorBoard's events; None for `logs` in the folder.
      hard: see `training_batches`.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        split: Split,
        checkpoints: Checkpoints,
        logs: Path | None = None,
        hard: Mapping[str, Any] | None = None,
    ):
        self._hard = hard
        self.folder, self.config, self.split = folder, config, split
        self._checkpoints, self._logs = checkpoints, logs or folder / LOGS

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
            consoles = [one.console for one in _bars(callbacks)]
            found = chosen_by(config, self.split, progress=consoles[0] if consoles else False)
            self._write("auto.json", json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
            self._checkpoints.save(found.model, 0, {})
            return
        if config.model.kind in COMPOSED:
            self._fit_members(callbacks)
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
            self._logs,
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
        if config.calibration is not None:
            calibrate_run(config, model, self.split)
            described = self._checkpoints.describe() or {}
            self._checkpoints.save(model, config.epochs, described["history"])

    def _fit_members(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Trains the members that no checkpoint has, each in its own folder, and composes them.

        A member that was interrupted goes on after its last complete epoch. The folders are removed
        once the whole model is saved.
        """
        folder, configs = self.folder / MEMBERS, self.config.member_configs()
        if not self._checkpoints.epochs():
            members: dict[str, Any] = {}
            history: dict[str, Any] = {}
            for number, (name, one) in enumerate(configs.items(), 1):
                title = f"member {number} of {len(configs)}: {name} ({one.model.kind})"
                checkpoints = Checkpoints(folder / name / "state")
                if max(checkpoints.epochs(), default=-1) >= (one.epochs or 0):
                    _say(callbacks, f"{title}, trained before")
                else:
                    _say(callbacks, title)
                    hard = hard_negatives(self.config, name, members)
                    self._fit_member(name, one, checkpoints, callbacks, hard)
                members[name] = checkpoints.model()
                history[name] = (checkpoints.describe() or {}).get("history", {})
            self._checkpoints.save(composed(self.config, members), 0, history)
        shutil.rmtree(folder, ignore_errors=True)

    def _fit_member(
        self,
        name: str,
        config: RunConfig,
        checkpoints: Checkpoints,
        callbacks: Sequence[keras.callbacks.Callback],
        hard: Mapping[str, Any],
    ) -> None:
        started, folder, logs = time.perf_counter(), self.folder / MEMBERS / name, self._logs / name
        folder.mkdir(parents=True, exist_ok=True)
        training = RunTraining(folder, config, self.split, checkpoints, logs, hard)
        training.fit(lambda: build_model(config, self.split.train), callbacks)
        _say(callbacks, f"{name}: trained in {time.perf_counter() - started:.1f} s")

    def _batches(self, model, steps_per_epoch: int | None):
        return training_batches(
            self.config,
            trained_events(self.config, self.split),
            self._done,
            model.spec.context_side,
            steps_per_epoch,
            model.spec.event_side,
            model.spec.label_rates,
            self._hard,
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
        _say(callbacks, planned.told(config.time_budget, config.epochs, len(batches)))
        return planned

    def _write(self, name: str, text: str) -> None:
        with new_file(self.folder / name) as file:
            file.write(text.encode())


def _bars(callbacks: Sequence[keras.callbacks.Callback]) -> list[ProgressBar]:
    return [one for one in callbacks if isinstance(one, ProgressBar)]


def _say(callbacks: Sequence[keras.callbacks.Callback], line: str) -> None:
    for bar in _bars(callbacks):
        bar.say(line)
