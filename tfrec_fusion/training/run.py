"""A training and its folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from tfrec_fusion._compat import keras
from tfrec_fusion.config import read_json
from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.disk import disk_errors
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import (
    RankingReport,
    Report,
    default_baselines,
    evaluate,
    evaluate_ranker,
)
from tfrec_fusion.files import alone, new_file
from tfrec_fusion.models import classic
from tfrec_fusion.optimizers import adam, resolve
from tfrec_fusion.paths import local_path
from tfrec_fusion.training.checkpoints import Checkpoints
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.inputs import check_inputs, load_events, load_items, load_split, record
from tfrec_fusion.training.recipes import TRAINED, build_model, training_batches
from tfrec_fusion.training.steps_per_execution import StepsPerExecution
from tfrec_fusion.training.tensorboard import TensorBoard


class Run:
    """A folder that holds a training: resumable after a kill, reproducible from its config.

    - `config.yaml`: a `RunConfig` with nothing left open, versions and hashes of the inputs;
    - `state/epoch-NNNN`: the model and the optimizer after each epoch, the last two;
    - `logs`: TensorBoard's events;
    - `metrics.json`: the course of the losses and the evaluation, at the end;
    - `done`: the training is over.

    Everything but the logs appears complete or not at all. A training that is cut off goes on after
    the last complete epoch, and on a CPU ends with the weights that it would have had. A longer
    config extends it, and another run can start from its weights (`RunConfig.from_run`).

    Example:
      >>> run = Run.start("runs/shop", RunConfig.load("shop.yaml"))
      >>> run.train()
      >>> run.evaluate().counts["total"]["users"] > 0
      True
    """

    def __init__(self, folder: str | os.PathLike, config: RunConfig, split: Split | None = None):
        self.folder = local_path(folder, "run", tensorflow=True)
        self.config, self._split = config, split
        self.extended: int | None = None  # epochs of the run that `start` has made longer
        self._checkpoints = Checkpoints(self.folder / "state")

    @classmethod
    def open(cls, folder: str | os.PathLike) -> Run:
        """The run in a folder.

        Raises:
          InputError: the folder holds none.
        """
        path = local_path(folder, "run", tensorflow=True) / "config.yaml"
        if not path.is_file():
            raise InputError(f"run: no config.yaml in the folder. Received: {folder}")
        return cls(folder, RunConfig.load(path))

    @classmethod
    def start(cls, folder: str | os.PathLike, config: RunConfig, *, overwrite: bool = False) -> Run:
        """A new run, or the one in the folder if it has the same config but for its length.

        With more `epochs` than the one there, that one is extended: it goes on from its last state,
        and `extended` says from what length. Its optimizer goes on too, so with a constant learning
        rate the end is that of an uninterrupted run. The default schedule is from there on that of
        the longer run, whose rate is higher than the one at which the shorter run ended.

        A run of which no epoch is complete has nothing to lose, and takes the new config.

        Args:
          folder: the run's.
          config: anything else than in the folder is refused.
          overwrite: removes the run that is there, its states and logs.

        Raises:
          InputError: the folder holds something else, the config differs from the one there, an
            input cannot be read or has changed since, or the run of `from_run` does not fit.
        """
        folder = local_path(folder, "run", tensorflow=True)
        there = cls.open(folder) if (folder / "config.yaml").is_file() else None
        begun = None
        if there is not None and not overwrite and there._checkpoints.epochs():
            begun = there
        present, source = record(config.data), None
        if config.from_run is not None:
            # A run that has begun does not need the other one any more.
            source = begun if begun and begun.config.from_run else Run.open(config.from_run)
            config = _as_source(config, source, folder)
            if not begun:
                present.inputs["from_run"] = source._checkpoints.digest()
        if not overwrite:
            check_inputs(config.recorded, present)
        split = load_split(config)
        config = config.resolved(split.train).model_copy(update={"recorded": present})
        if not config.by_gradient:
            build_model(config, split.train)  # whose options are checked before anything is written
        if begun:
            return begun._going_on(config, split)
        if source is not None:
            _check_source(config, source, split.train)
        if there is not None:
            there._clear()
        elif folder.exists() and (not folder.is_dir() or any(folder.glob("[!.]*"))):
            raise InputError(f"run: {folder} exists and holds no run; give a new or empty folder")
        run = cls(folder, config, split)
        with disk_errors(folder, "no run was started"):
            folder.mkdir(parents=True, exist_ok=True)
            with run._alone():
                run._write("config.yaml", config.to_yaml())
        return run

    def _going_on(self, config: RunConfig, split: Split) -> Run:
        """The run of this folder with a config that may be longer."""
        mine = self.config
        longer = (config.epochs or 0) > (mine.epochs or 0)
        if longer:
            lengths = {"epochs": config.epochs, "evaluate_every": config.evaluate_every}
            mine = mine.model_copy(update=lengths)
        difference = mine.difference(config)
        if difference:
            raise InputError(
                f"run: {self.folder} holds a run with another config: {difference}; give another "
                "folder, or overwrite it"
            )
        check_inputs(mine.recorded, config.recorded)
        run = Run(self.folder, mine, split)
        if longer:
            run.extended = self.config.epochs
            with run._alone():
                # In this order a kill leaves a run that is not done.
                (self.folder / "done").unlink(missing_ok=True)
                run._write("config.yaml", mine.to_yaml())
        return run

    def _clear(self) -> None:
        """Removes all that a training has left, its first sign last."""
        with self._alone():
            for name in ("done", "metrics.json"):
                (self.folder / name).unlink(missing_ok=True)
            for folder in (self.logs, self._checkpoints.folder):
                if folder.is_dir():
                    shutil.rmtree(folder)

    @property
    def split(self) -> Split:
        """The data, split."""
        if self._split is None:
            check_inputs(self.config.recorded, record(self.config.data))
            self._split = load_split(self.config)
        return self._split

    def events(self, interactions: str | os.PathLike | None = None, **options) -> Interactions:
        """All events of the run, those of the test included, e.g. to export from.

        With `interactions` they are those of another file with the run's items, e.g. newer ones.

        They are read as the run's were, with all that its config's `data` says but the vectors, so
        that the catalogue has none.

        Args:
          interactions: another file.
          **options: of `data` in the place of the config's, e.g. `stray_times`.

        Raises:
          InputError: what the run's own tables are refused for, or these have changed.
        """
        data = self.config.data.model_copy(update={"vectors": {}, **options})
        if interactions is None:
            check_inputs(self.config.recorded, record(data))
        else:
            path = local_path(interactions, "interactions")
            data = data.model_copy(update={"interactions": str(path)})
        return load_events(data)

    def items(self, items: str | os.PathLike) -> pd.DataFrame:
        """The table of another file of items, read as the run's was.

        Raises:
          InputError: what the run's own table is refused for.
        """
        update = {"items": str(local_path(items, "items")), "vectors": {}}
        return load_items(self.config.data.model_copy(update=update)).frame

    @property
    def done(self) -> bool:
        """Whether the training is over."""
        return (self.folder / "done").is_file()

    @property
    def epochs_done(self) -> int:
        """Complete epochs on disk."""
        return max(self._checkpoints.epochs(), default=0)

    @property
    def logs(self) -> Path:
        """TensorBoard's folder."""
        return self.folder / "logs"

    def train(self, callbacks: Sequence[keras.callbacks.Callback] = ()) -> dict:
        """Trains what is left to train, evaluates, and returns what `metrics.json` holds.

        Args:
          callbacks: more of them; they run after an epoch's state is on disk.

        Raises:
          InputError: another process trains in the folder, or the data does not suit the config.
          OSError: the disk is full; the last complete epoch is kept.
        """
        then = "the last complete epoch is kept, and the same call goes on once there is room"
        with disk_errors(self.folder, then), self._alone():
            if not self.done:
                self._fit(callbacks)
                described = self._checkpoints.describe() or {"history": {}}
                metrics = {"history": described["history"]}
                if self.config.split.kind != "none":
                    metrics["evaluation"] = self.evaluate().to_dict()
                self._write("metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False))
                self._write("done", "")
        return self.metrics()

    def metrics(self) -> dict:
        """What `metrics.json` holds."""
        return read_json(self.folder / "metrics.json", "run")

    def model(self) -> keras.Model | classic.ClassicModel:
        """The model after the last complete epoch.

        Raises:
          InputError: no epoch is complete.
        """
        described = self._checkpoints.describe()
        if described is None:
            raise InputError(f"run: no epoch of {self.folder} is complete; train it first")
        whole = self._checkpoints.classic()
        if whole is not None:
            return whole
        model = TRAINED[described["class_name"]].from_config(described["config"])
        self._checkpoints.restore(model)
        return model

    def evaluate(self, name: str | None = None) -> Report | RankingReport:
        """The evaluation of the model on the test events.

        What recommends ranks the whole catalogue (`tfrec_fusion.evaluation.evaluate`), a ranker the
        test events among sampled items (`evaluate_ranker`).

        Raises:
          InputError: no epoch is complete, or the split has no test events.
        """
        self._check_test()
        model = self.model()
        judge = evaluate if model.ranks_catalogue else evaluate_ranker
        return judge(model, self.split, name=name or self.config.model.kind)

    def evaluate_baselines(self) -> Iterator[Report | RankingReport]:
        """The baselines that suit the data, fitted and evaluated one by one."""
        self._check_test()
        train = self.split.train
        if self.config.model.kind == "ranker":
            yield evaluate_ranker(classic.Popularity().fit(train), self.split)
            return
        for baseline in default_baselines(train):
            yield evaluate(baseline.fit(train), self.split)

    def _check_test(self) -> None:
        if self.config.split.kind == "none":
            raise InputError(
                "run: split.kind is 'none', so there are no test events to evaluate on"
            )

    def _fit(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        config: Any = self.config  # nothing in it is open any more
        self._checkpoints.clean()
        done = self.epochs_done
        keras.utils.set_random_seed(config.seed)
        if not config.by_gradient:
            model = build_model(config, self.split.train)
            self._checkpoints.save(model.fit(self.split.train), 0, {})
            return
        model = self._start()
        if config.epochs == 0:
            self._checkpoints.save(model, 0, {})
            return
        batches = training_batches(config, self.split.train, done)
        steps = config.epochs * len(batches)
        model.compile(
            resolve(config.optimizer)
            if config.optimizer
            else adam(config.learning_rate, steps=steps)
        )
        # A state of no epoch has no optimizer.
        described = self._checkpoints.restore(model) if done else None
        board = TensorBoard(
            self.logs,
            split=self.split,
            every=config.evaluate_every,
            config=config.model_dump(mode="json"),
        )
        keep = _Keep(self._checkpoints, config.seed, described["history"] if described else {})
        model.fit(
            batches,
            initial_epoch=done,
            epochs=config.epochs,
            verbose=0,
            callbacks=[keep, StepsPerExecution(), *callbacks, board],
        )

    def _start(self) -> keras.Model:
        """The model before the first step; its weights are those of a state where there is one."""
        if self.config.from_run is None:
            return build_model(self.config, self.split.train)
        described = self._checkpoints.describe()
        if described is None:
            return Run.open(self.config.from_run).model()
        return TRAINED[described["class_name"]].from_config(described["config"])

    def _write(self, name: str, text: str) -> None:
        with new_file(self.folder / name) as file:
            file.write(text.encode())

    @contextmanager
    def _alone(self):
        """Holds the folder's lock, which a killed process gives back."""
        with alone(self.folder / ".lock", "run: another process is training in the folder"):
            yield


def _as_source(config: RunConfig, source: Run, folder: Path) -> RunConfig:
    """The config with the model of the run that it starts from."""
    path = Path(os.path.abspath(config.from_run or ""))
    if path == Path(os.path.abspath(folder)):
        raise InputError(f"run: from_run: a run cannot start from itself. Received: {folder}")
    theirs = source.config.model
    for name in sorted(config.model.model_fields_set | {"kind"}):
        mine = getattr(config.model, name)
        if mine != getattr(theirs, name, None):
            raise InputError(
                f"run: from_run: model.{name} is {getattr(theirs, name, None)!r} there and "
                f"{mine!r} here; leave the model's options out"
            )
    update = {"model": theirs, "spectral": False, "from_run": str(path)}
    return config.model_copy(update=update)


def _check_source(config: RunConfig, source: Run, train: Interactions) -> None:
    """Raises InputError where the model to start from is not one for these events and examples."""
    theirs: Any = source.config.model
    if config.model != theirs:
        kind = config.examples and config.examples.kind
        raise InputError(
            f"run: from_run: examples.kind {kind!r} is not for a model with "
            f"trend={theirs.trend}; choose the other run's examples"
        )
    source.model().check(train)


class _Keep(keras.callbacks.Callback):
    """Saves the state after each epoch, and starts each with the same random seed.

    The seed makes what an interrupted training draws independent of when it was interrupted.
    """

    def __init__(self, checkpoints: Checkpoints, seed: int, history: dict[str, list[float]]):
        super().__init__()
        self._checkpoints, self._seed, self._history = checkpoints, seed, dict(history)

    def on_epoch_begin(self, epoch, logs=None):
        keras.utils.set_random_seed(self._seed)

    def on_epoch_end(self, epoch, logs=None):
        for name, value in (logs or {}).items():
            self._history[name] = [*self._history.get(name, []), float(value)]
        self._checkpoints.save(self.model, epoch + 1, self._history)
