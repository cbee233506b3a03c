"""Checkpoints: a model's state on disk after each epoch."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.config import read_json
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import new_folder
from tfrec_fusion.models.classic import ClassicModel
from tfrec_fusion.paths import local_path
from tfrec_fusion.pipelines import Blend, Stack, TwoStage
from tfrec_fusion.training.recipes import TRAINED

_PREFIX, _WHOLE = "epoch-", "model"


class Checkpoints:
    """Saves and restores checkpoints: folders `epoch-0001`, ... of weights, optimizer and losses.

    Folders are written atomically, and the previous one is deleted only afterwards, so a kill at
    any moment leaves the last complete epoch.

    Args:
      folder: created with the first checkpoint.

    Example:
      >>> checkpoints = Checkpoints("run/state")
      >>> checkpoints.save(model, 1, {"loss": [5.4]})
      PosixPath('run/state/epoch-0001')
      >>> checkpoints.restore(model)["epoch"]
      1
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = local_path(folder, "checkpoints", tensorflow=True)

    def epochs(self) -> list[int]:
        """Lists the epochs with a checkpoint, ascending."""
        names = (path.name for path in self.folder.glob(f"{_PREFIX}*"))
        return sorted(int(name.removeprefix(_PREFIX)) for name in names)

    def save(
        self,
        model: keras.Model | ClassicModel | Blend | Stack | TwoStage,
        epoch: int,
        history: dict[str, Any],
    ) -> Path:
        """Writes the checkpoint after `epoch` epochs, and removes all but the last two.

        Args:
          history: metric -> value of each epoch; of a model of others, member -> the same.
        """
        path = self._path(epoch)
        with new_folder(path) as temporary:
            described = {"epoch": epoch, "history": history, "class_name": type(model).__name__}
            if isinstance(model, ClassicModel | Blend | Stack | TwoStage):
                model.save(temporary / _WHOLE)
            else:
                tf.train.Checkpoint(model=model).write(str(temporary / "weights"))
                described["config"] = model.get_config()
            (temporary / "epoch.json").write_text(json.dumps(described), encoding="utf-8")
        for old in self.epochs()[:-2]:
            shutil.rmtree(self._path(old), ignore_errors=True)
        return path

    def describe(self) -> dict | None:
        """Returns `epoch`, `history`, `class_name` and `config` of the latest checkpoint, or None.

        Checkpoints of classic models and models of others have no `config`.
        """
        epochs = self.epochs()
        if not epochs:
            return None
        return read_json(self._path(epochs[-1]) / "epoch.json", "run")

    def whole(self) -> ClassicModel | Blend | Stack | TwoStage | None:
        """Loads the latest checkpoint's model if it is no Keras model; None if it is one."""
        folder = self._path(max(self.epochs(), default=0)) / _WHOLE
        if not folder.is_dir():
            return None
        name = (self.describe() or {}).get("class_name")
        made = next((one for one in (Blend, Stack, TwoStage) if one.__name__ == name), ClassicModel)
        return made.load(folder)

    def model(self) -> keras.Model | ClassicModel | Blend | Stack | TwoStage | None:
        """Loads the model of the latest checkpoint; None if there is none."""
        described = self.describe()
        if described is None:
            return None
        whole = self.whole()
        if whole is not None:
            return whole
        model = TRAINED[described["class_name"]].from_config(described["config"])
        self.restore(model)
        return model

    def restore(self, model: keras.Model) -> dict | None:
        """Restores a model, and its optimizer if compiled, from the latest checkpoint.

        Returns:
          What `describe` returns; None if there is no checkpoint.
        """
        described = self.describe()
        if described is None:
            return None
        if isinstance(getattr(model, "optimizer", None), keras.optimizers.Optimizer):
            model.optimizer.build(model.trainable_variables)
        weights = str(self._path(described["epoch"]) / "weights")
        status = tf.train.Checkpoint(model=model).read(weights)
        # A model that is not compiled does not read the optimizer's state.
        status.assert_existing_objects_matched().expect_partial()
        return described

    def digest(self) -> str:
        """Returns the SHA-256 of the latest checkpoint's weights.

        Raises:
          InputError: there is no checkpoint.
        """
        epochs = self.epochs()
        if not epochs:
            raise InputError(f"run: no epoch of {self.folder.parent} is complete; train it first")
        digest = hashlib.sha256()
        for path in sorted(self._path(epochs[-1]).glob("weights.*")):
            with open(path, "rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()

    def clean(self) -> None:
        """Removes temporary folders of killed processes; call it only while holding the lock."""
        for path in self.folder.glob(f".{_PREFIX}*"):
            shutil.rmtree(path, ignore_errors=True)

    def _path(self, epoch: int) -> Path:
        return self.folder / f"{_PREFIX}{epoch:04d}"
