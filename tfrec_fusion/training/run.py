"""A training run and its folder."""

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
from tfrec_fusion.paths import local_path
from tfrec_fusion.pipelines import Blend, Stack, TwoStage
from tfrec_fusion.training.calibrated_runs import trained_events
from tfrec_fusion.training.checkpoints import Checkpoints
from tfrec_fusion.training.choosing import candidate_configs
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.inputs import check_inputs, load_events, load_items, load_split, record
from tfrec_fusion.training.model_sections import AUTO, COMPOSED
from tfrec_fusion.training.recipes import TRAINED, build_model
from tfrec_fusion.training.run_training import LOGS, MEMBERS, RunTraining


class Run:
    """A training run in a folder: resumable after a kill, reproducible from its config.

    - `config.yaml`: the resolved `RunConfig`, with package versions and hashes of the inputs;
    - `state/epoch-NNNN`: checkpoints of model and optimizer, those of the last two epochs;
    - `logs`: TensorBoard's events;
    - `plan.json`: the length of the epochs, if a time budget set it;
    - `auto.json`: of `model.kind: auto`, what was tried and what was chosen;
    - `members`: of `model.kind: blend`, while it trains: a folder for each member as of a run;
    - `metrics.json`: losses per epoch (of a blend, of each member) and the evaluation, written at
      the end;
    - `done`: marks a finished training.

    All files but the logs are written atomically. An interrupted training resumes after the last
    complete epoch, and on a CPU ends with the weights of an uninterrupted one. A config with more
    epochs extends the run, and another run can start from its weights (`RunConfig.from_run`).

    Example:
      >>> run = Run.start("runs/shop", RunConfig.load("shop.yaml"))
      >>> run.train()
      >>> run.evaluate().counts["total"]["users"] > 0
      True
    """

    def __init__(self, folder: str | os.PathLike, config: RunConfig, split: Split | None = None):
        self.folder = local_path(folder, "run", tensorflow=True)
        self.config, self._split = config, split
        self.extended: int | None = None  # epochs of the run before `start` extended it
        self._checkpoints = Checkpoints(self.folder / "state")

    @classmethod
    def open(cls, folder: str | os.PathLike) -> Run:
        """Opens the run in a folder.

        Raises:
          InputError: the folder holds no run.
        """
        path = local_path(folder, "run", tensorflow=True) / "config.yaml"
        if not path.is_file():
            raise InputError(
                f"run: no config.yaml in the folder; pass a folder written by train. "
                f"Received: {folder}"
            )
        return cls(folder, RunConfig.load(path))

    @classmethod
    def start(cls, folder: str | os.PathLike, config: RunConfig, *, overwrite: bool = False) -> Run:
        """Starts a new run, or resumes the one in the folder if the config is the same.

        More `epochs` than before extend the existing run: it continues from its last checkpoint,
        and `extended` holds its former number of epochs. The optimizer continues too, so with a
        constant learning rate the result is that of an uninterrupted run. The default schedule
        switches to that of the longer run, whose rate is higher there than at the end of the
        shorter one.

        A run without a complete epoch takes the new config, whatever it is.

        Args:
          folder: of the run.
          config: must equal the config in the folder, except for more `epochs`.
          overwrite: removes the existing run, its checkpoints and logs.

        Raises:
          InputError: the folder holds other files, the config differs from the one there, an input
            cannot be read or has changed, or the run of `from_run` does not fit.
        """
        folder = local_path(folder, "run", tensorflow=True)
        there = cls.open(folder) if (folder / "config.yaml").is_file() else None
        begun = None
        if there is not None and not overwrite and there._begun:
            begun = there
        present, source = record(config.data), None
        if config.from_run is not None:
            # A run with a complete epoch no longer needs the run that it started from.
            source = begun if begun and begun.config.from_run else Run.open(config.from_run)
            if source.config.model.kind in (AUTO, *COMPOSED):
                raise InputError(
                    "run: from_run needs a run of one model that its config names; train that "
                    f"model by its own config first. Received: {config.from_run}"
                )
            config = _with_model_of(source, config, folder)
            if not begun:
                present.inputs["from_run"] = source._checkpoints.digest()
        if not overwrite:
            check_inputs(config.recorded, present)
        split = load_split(config)
        config = config.resolved(split.train).model_copy(update={"recorded": present})
        if config.model.kind == AUTO:
            candidate_configs(config, split)
        for one in config.member_configs().values() or [config]:
            if not one.by_gradient and one.model.kind != AUTO:
                build_model(one, split.train)  # checks the options before anything is written
        if begun:
            return begun._going_on(config, split)
        if source is not None:
            _check_source(config, source, split.train)
        if there is not None:
            there._clear()
        elif folder.exists() and (not folder.is_dir() or any(folder.glob("[!.]*"))):
            raise InputError(
                f"run: the folder is not empty and holds no run; pass a new or empty folder. "
                f"Received: {folder}"
            )
        run = cls(folder, config, split)
        with disk_errors(folder, "no run was started"):
            folder.mkdir(parents=True, exist_ok=True)
            with run._alone():
                run._write("config.yaml", config.to_yaml())
        return run

    def _going_on(self, config: RunConfig, split: Split) -> Run:
        """The run of this folder, extended if `config` has more epochs."""
        mine = self.config
        longer = (config.epochs or 0) > (mine.epochs or 0)
        if longer:
            lengths = {"epochs": config.epochs, "evaluate_every": config.evaluate_every}
            mine = mine.model_copy(update=lengths)
        difference = mine.difference(config)
        if difference:
            raise InputError(
                f"run: {self.folder} holds a run with another config: {difference}; pass another "
                "folder, or overwrite the run"
            )
        check_inputs(mine.recorded, config.recorded)
        run = Run(self.folder, mine, split)
        if longer:
            run.extended = self.config.epochs
            with run._alone():
                # This order ensures that a kill in between leaves a run that is not done.
                (self.folder / "done").unlink(missing_ok=True)
                run._write("config.yaml", mine.to_yaml())
        return run

    def _clear(self) -> None:
        """Removes the results of a training; the checkpoints, which mark a begun run, go last."""
        with self._alone():
            for name in ("done", "metrics.json", "plan.json"):
                (self.folder / name).unlink(missing_ok=True)
            for folder in (
                self.origins,
                self.logs,
                self.folder / MEMBERS,
                self._checkpoints.folder,
            ):
                if folder.is_dir():
                    shutil.rmtree(folder)

    @property
    def _begun(self) -> bool:
        """Whether an epoch is complete, of the model or of a member."""
        members = (self.folder / MEMBERS).glob("*/state")
        return any(Checkpoints(one).epochs() for one in members) or bool(self._checkpoints.epochs())

    @property
    def split(self) -> Split:
        """Training and test events; read and checked on first use."""
        if self._split is None:
            check_inputs(self.config.recorded, record(self.config.data))
            self._split = load_split(self.config)
        return self._split

    def events(self, interactions: str | os.PathLike | None = None, **options) -> Interactions:
        """Reads all events of the run, including the test events, e.g. for an export.

        The options are those of the config's `data`, but without vectors, so the catalogue has
        none.

        Args:
          interactions: another file of events with the run's items, e.g. a newer one.
          **options: keys of `data` that override those of the config, e.g. `stray_times`.

        Raises:
          InputError: a table is invalid, or one of the run's tables has changed.
        """
        data = self.config.data.model_copy(update={"vectors": {}, **options})
        if interactions is None:
            now = record(data)
            if options.get("users") is not None:
                now.inputs.pop("users", None)
            for name in options.get("user_vectors") or {}:
                now.inputs.pop(f"user_vectors.{name}", None)
            check_inputs(self.config.recorded, now)
        else:
            path = local_path(interactions, "interactions")
            data = data.model_copy(update={"interactions": str(path)})
        return load_events(data)

    def items(self, items: str | os.PathLike) -> pd.DataFrame:
        """Reads another file of items with the options of the config's `data`.

        Raises:
          InputError: the table is invalid.
        """
        update = {"items": str(local_path(items, "items")), "vectors": {}}
        return load_items(self.config.data.model_copy(update=update)).frame

    @property
    def done(self) -> bool:
        """Whether the training is finished."""
        return (self.folder / "done").is_file()

    @property
    def epochs_done(self) -> int:
        """Number of complete epochs on disk."""
        return max(self._checkpoints.epochs(), default=0)

    @property
    def logs(self) -> Path:
        """Folder of the TensorBoard logs."""
        return self.folder / LOGS

    @property
    def origins(self) -> Path:
        """Folder of what `evaluate_origins` keeps."""
        return self.folder / "origins"

    def train(self, callbacks: Sequence[keras.callbacks.Callback] = ()) -> dict:
        """Trains the remaining epochs, evaluates, and returns the content of `metrics.json`.

        Args:
          callbacks: additional callbacks; they run after the epoch's checkpoint is on disk.

        Raises:
          InputError: another process trains in the folder, or the data does not fit the config.
          OSError: the disk is full; of a model that is trained in epochs, the last complete one is
            kept.
        """
        then = "the model was not kept; free some space and repeat the call"
        if self.config.by_gradient:
            then = "the last complete epoch is kept; free some space and repeat the call to resume"
        with disk_errors(self.folder, then), self._alone():
            if not self.done:
                self._fit(callbacks)
                described = self._checkpoints.describe() or {"history": {}}
                metrics = {"history": described["history"]}
                if self.config.model.kind == AUTO:
                    metrics["auto"] = read_json(self.folder / "auto.json", "run")
                if self.config.split.kind != "none":
                    metrics["evaluation"] = self.evaluate().to_dict()
                self._write("metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False))
                self._write("done", "")
        return self.metrics()

    def metrics(self) -> dict:
        """Returns the content of `metrics.json`."""
        return read_json(self.folder / "metrics.json", "run")

    def model(self) -> keras.Model | classic.ClassicModel | Blend | Stack | TwoStage:
        """Loads the model after the last complete epoch.

        Raises:
          InputError: no epoch is complete.
        """
        model = self._checkpoints.model()
        if model is None:
            raise InputError(f"run: no epoch of {self.folder} is complete; train it first")
        return model

    def evaluate(
        self,
        name: str | None = None,
        history: int | None = None,
        mask_history: bool | None = None,
        users: int | None = 50_000,
    ) -> Report | RankingReport:
        """Evaluates the model on the test events.

        Recommenders get full-catalogue ranking (`tfrec_fusion.evaluation.evaluate`); rankers rank
        each test event among sampled negatives (`evaluate_ranker`).

        Args:
          name: of the model in the report; by default its kind.
          history: number of last training items of each user that a recommender may read; None for
            all.
          mask_history: whether a user's training items are no candidates; see `evaluate`.
          users: most users to evaluate, of more a sample; None for all.

        Raises:
          InputError: no epoch is complete, or the split has no test events.
        """
        self._check_test()
        model = self.model()
        name = name or self.config.model.kind
        if model.ranks_catalogue:
            return evaluate(
                model,
                self.split,
                name=name,
                history=history,
                mask_history=mask_history,
                users=users,
            )
        for option, value in (("history", history), ("mask_history", mask_history)):
            if value is not None:
                raise InputError(
                    f"run: {option} is for models that rank the whole catalogue; leave it out for "
                    f"a ranker. Received: {value}"
                )
        return evaluate_ranker(model, self.split, name=name)

    def evaluate_baselines(
        self, mask_history: bool | None = None, users: int | None = 50_000
    ) -> Iterator[Report | RankingReport]:
        """Fits and evaluates the baselines that suit the data, one by one, but the run's model.

        Args:
          mask_history, users: as in `evaluate`.
        """
        self._check_test()
        train = self.split.train
        if self.config.model.kind == "ranker":
            yield evaluate_ranker(classic.Popularity().fit(train), self.split)
            return
        own = None if self.config.by_gradient else self.model()
        for baseline in default_baselines(train, without=own):
            fitted = baseline.fit(train)
            yield evaluate(fitted, self.split, mask_history=mask_history, users=users)

    def _check_test(self) -> None:
        if self.config.split.kind == "none":
            raise InputError(
                "run: split.kind is 'none', so there are no test events to evaluate on; train with "
                "another split"
            )

    def _fit(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        training = RunTraining(self.folder, self.config, self.split, self._checkpoints)
        training.fit(self._start, callbacks)

    def _start(self) -> keras.Model:
        """The model before the first step; the weights of a checkpoint are not yet restored."""
        if self.config.from_run is None:
            return build_model(self.config, trained_events(self.config, self.split))
        described = self._checkpoints.describe()
        if described is None:
            return Run.open(self.config.from_run).model()
        return TRAINED[described["class_name"]].from_config(described["config"])

    def _write(self, name: str, text: str) -> None:
        with new_file(self.folder / name) as file:
            file.write(text.encode())

    @contextmanager
    def _alone(self):
        """Holds the folder's lock, which the system releases if the process is killed."""
        with alone(self.folder / ".lock", "run: another process is training in the folder"):
            yield


def _with_model_of(source: Run, config: RunConfig, folder: Path) -> RunConfig:
    """The config with the model section of the run that it starts from."""
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
    """Raises InputError if the model to start from does not fit these events and examples."""
    theirs: Any = source.config.model
    if config.model != theirs:
        kind = config.examples and config.examples.kind
        raise InputError(
            f"run: from_run: examples.kind {kind!r} does not fit a model with "
            f"trend={theirs.trend}; choose the examples of the other run"
        )
    source.model().check(train)
