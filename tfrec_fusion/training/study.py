"""An Optuna study in a folder, which a kill at any moment leaves usable."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfrec_fusion._compat import optional
from tfrec_fusion.config import read_json
from tfrec_fusion.disk import disk_errors
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import alone, new_file
from tfrec_fusion.paths import local_path
from tfrec_fusion.training.config_sections import Recorded
from tfrec_fusion.training.inputs import check_inputs

if TYPE_CHECKING:
    from optuna.study import Study as OptunaStudy
    from optuna.trial import FrozenTrial, Trial

RETRY, DEFAULT, NOTE, DUPLICATE = "retry_of", "default", "note", "duplicate_of"
_WRITTEN = ("journal.log", "best.yaml", "trials.csv", "trials.png")


class Study:
    """The trials of one tuning, in a folder.

    - `study.json`: what the trials have in common: config, space, metric, seed and input hashes;
    - `journal.log`: Optuna's journal of the trials.

    Each trial is sampled with a seed of its own, made from the study's seed and the number of
    trials before it, so that an interrupted study goes on as it would have without.

    Args:
      folder: as `opened_study` gives it.
      seed: of the sampler.
    """

    def __init__(self, folder: Path, seed: int):
        self._optuna: Any = optional("optuna", "tune")
        self.folder, self.seed = folder, seed
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        path = folder / "journal.log"
        _cut(path)
        journal = self._optuna.storages.journal
        backend = journal.JournalFileBackend(str(path), lock_obj=_Held())
        self.optuna: OptunaStudy = self._optuna.create_study(
            study_name="tune",
            storage=self._optuna.storages.JournalStorage(backend),
            direction="maximize",
            pruner=self._optuna.pruners.MedianPruner(n_startup_trials=4),
            load_if_exists=True,
        )

    def trials(self) -> list[FrozenTrial]:
        """Returns the finished trials: not those interrupted by a kill, nor duplicates."""
        states = self._optuna.trial.TrialState
        found = [one for one in self.optuna.get_trials(deepcopy=False) if one.state.is_finished()]
        retried = self._retried()
        return [
            one
            for one in found
            if not (
                one.state == states.FAIL and (one.number in retried or DUPLICATE in one.user_attrs)
            )
        ]

    def complete(self) -> list[FrozenTrial]:
        """Returns the trials with a figure, the best first."""
        states = self._optuna.trial.TrialState
        whole = [one for one in self.trials() if one.state == states.COMPLETE]
        return sorted(whole, key=lambda one: (-(one.value or 0.0), one.number))

    def start(self, default: Mapping[str, Any]) -> int:
        """Enqueues the default trial of a new study, and anew what a kill interrupted.

        Returns:
          The number of trials to retry.
        """
        found, retried = self.optuna.get_trials(deepcopy=False), self._retried()
        if not found:
            self.optuna.enqueue_trial(dict(default), user_attrs={DEFAULT: True})
            return 0
        running = [one for one in found if one.state == self._optuna.trial.TrialState.RUNNING]
        for one in running:
            if one.number not in retried:
                attributes: dict[str, Any] = {DEFAULT: True} if DEFAULT in one.user_attrs else {}
                attributes[RETRY] = one.number
                # Enqueued first: a kill in between leaves a trial that is known as retried.
                self.optuna.enqueue_trial(
                    dict(default) if DEFAULT in attributes else one.params, user_attrs=attributes
                )
            self.optuna.tell(one.number, state=self._optuna.trial.TrialState.FAIL)
        return len(running)

    def ask(self) -> Trial:
        """Starts a trial."""
        before = len(self.optuna.get_trials(deepcopy=False)) - len(self._retried())
        seed = np.random.SeedSequence([self.seed, before]).generate_state(1)[0]
        self.optuna.sampler = self._optuna.samplers.TPESampler(seed=int(seed))
        return self.optuna.ask()

    def twin(self, trial: Trial) -> int | None:
        """Returns the number of a finished trial with the same values."""
        same = (
            one.number
            for one in self.trials()
            if one.number != trial.number
            and one.params == trial.params
            and DEFAULT not in one.user_attrs
        )
        return None if DEFAULT in trial.user_attrs else next(same, None)

    def _retried(self) -> set[int]:
        attributes = (one.user_attrs for one in self.optuna.get_trials(deepcopy=False))
        return {found[RETRY] for found in attributes if RETRY in found}


@contextmanager
def opened_study(
    folder: str | os.PathLike, settings: Mapping[str, Any], inputs: Recorded
) -> Iterator[Study]:
    """Opens the study of a folder, or starts one there, alone among processes.

    Settings of a study without a finished trial are replaced.

    Args:
      folder: new, empty or of a study.
      settings: `config`, `space`, `metric` and `seed`, in JSON's types.
      inputs: hashes of the tables and vectors.

    Raises:
      InputError: other settings or inputs than there, another process tunes in the folder, or the
        folder holds other files.
      OSError: the disk is full; finished trials are kept.
    """
    folder = local_path(folder, "tune", tensorflow=True)
    described = folder / "study.json"
    other = folder.exists() and (not folder.is_dir() or any(folder.glob("[!.]*")))
    if other and not described.is_file():
        raise InputError(
            f"tune: the folder is not empty and holds no study; pass a new or empty folder. "
            f"Received: {folder}"
        )
    kept = "finished trials are kept; free some space and repeat the call to go on"
    with disk_errors(folder, kept):
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / ".lock", "tune: another process is tuning in the folder"):
            plain: dict[str, Any] = json.loads(json.dumps(settings))
            if described.is_file():
                _check(folder, plain, inputs)
            with new_file(described) as file:
                text = json.dumps({**plain, "recorded": inputs.model_dump()}, indent=2)
                file.write(text.encode())
            yield Study(folder, plain["seed"])


def _check(folder: Path, settings: dict[str, Any], inputs: Recorded) -> None:
    """Refuses other settings than those of the study; clears one without a finished trial."""
    there = read_json(folder / "study.json", "tune")
    recorded = Recorded.model_validate(there.pop("recorded"))
    try:
        difference = _difference(there, settings)
        if difference is not None:
            raise InputError(
                f"tune: {folder} holds a study with another {difference}; pass another folder"
            )
        check_inputs(recorded, inputs)
    except InputError:
        if Study(folder, 0).trials():
            raise
        for name in _WRITTEN:
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "logs", ignore_errors=True)


def _difference(there: Mapping[str, Any], here: Mapping[str, Any], at: str = "") -> str | None:
    for key in sorted({*there, *here}, key=lambda key: (key != "kind", key)):
        old, new = there.get(key), here.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found = _difference(old, new, f"{at}{key}: " if not at else f"{at}{key}.")
            if found is not None:
                return found
        elif old != new:
            return f"{at}{key}, {old!r} there and {new!r} here"
    return None


def _cut(path: Path) -> None:
    """Cuts off a last line that a kill left incomplete; the next one would be joined to it."""
    if not path.is_file():
        return
    with open(path, "r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


class _Held:
    """The journal's lock: the folder's own is held already, and ends with the process."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass
