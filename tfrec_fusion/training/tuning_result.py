"""The result of a tuning, and its files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from rich.table import Table

from tfrec_fusion._compat import optional, tf
from tfrec_fusion.files import new_file
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.study import DEFAULT, NOTE, Study

_SHOWN = 5
_COLOURS = ("#0072B2", "#999999", "#D55E00")


@dataclass(frozen=True)
class TuningResult:
    """What `tune` found.

    Attributes:
      best: the config of the best trial, as in `best.yaml`.
      value: its metric on the validation events.
      number: of that trial.
      metric: name of the metric.
      trials: a row per finished trial: `trial`, `state` ("complete", "pruned" or "fail"), `value`
        (of a pruned trial, after its last epoch), `seconds`, `note`, and the values of the space,
        missing where the trial did not set them.
      folder: of the study.
    """

    best: RunConfig
    value: float
    number: int
    metric: str
    trials: pd.DataFrame
    folder: Path
    _study: Study

    @classmethod
    def of(cls, study: Study, metric: str, keys: list[str]) -> TuningResult:
        """Reads the finished trials of a study, of which one is complete."""
        best = study.complete()[0]
        rows = [
            {
                "trial": one.number,
                "state": one.state.name.lower(),
                "value": math.nan if one.value is None else one.value,
                "seconds": one.user_attrs.get("seconds", math.nan),
                "note": one.user_attrs.get(NOTE, ""),
                **{key: one.params.get(key) for key in keys},
            }
            for one in study.trials()
        ]
        return cls(
            best=RunConfig.of(best.user_attrs["config"], "tune"),
            value=float(best.value or 0.0),
            number=best.number,
            metric=metric,
            trials=pd.DataFrame(rows),
            folder=study.folder,
            _study=study,
        )

    def to_dict(self) -> dict:
        """Returns the figures in JSON's types."""
        frame = self.trials.astype(object).where(self.trials.notna(), None)
        return {
            "folder": str(self.folder),
            "metric": self.metric,
            "value": self.value,
            "trial": self.number,
            "best": self.best.model_dump(mode="json", exclude_unset=True),
            "trials": frame.to_dict("records"),
        }

    def write(self, plots: bool) -> None:
        """Writes `best.yaml`, `trials.csv` and the logs of the last trial, and on request plots."""
        values = self.best.model_dump(mode="json", exclude_unset=True)
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        with new_file(self.folder / "best.yaml") as file:
            file.write(text.encode())
        with new_file(self.folder / "trials.csv") as file:
            file.write(self.trials.to_csv(index=False).encode())
        if plots:
            self._plot()
        else:
            self._log()

    def _log(self) -> None:
        """Logs the last trial for TensorBoard's HParams."""
        from tensorboard.plugins.hparams import api

        trial = self._study.trials()[-1]
        hparams = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in trial.params.items()
        }
        name = f"trial-{trial.number:04d}"
        writer = tf.summary.create_file_writer(str(self.folder / "logs" / name))
        with writer.as_default(0):
            api.hparams(hparams, trial_id=name)
            for step, value in trial.intermediate_values.items():
                tf.summary.scalar(self.metric, value, step=step)
            if trial.value is not None and not trial.intermediate_values:
                tf.summary.scalar(self.metric, trial.value, step=0)
        writer.close()

    def _plot(self) -> None:
        """Draws the course of the trials and, of ten or more, the importance of the options."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        importance = self._importance()
        figure = Figure(figsize=(11 if importance else 6, 3.6), layout="constrained")
        panels = FigureCanvasAgg(figure).figure.subplots(1, 2 if importance else 1, squeeze=False)
        axes, whole = panels[0, 0], self.trials[self.trials["state"] == "complete"]
        pruned = self.trials[self.trials["state"] == "pruned"]
        axes.scatter(whole["trial"], whole["value"], s=14, color=_COLOURS[0], label="complete")
        if len(pruned):
            axes.scatter(pruned["trial"], pruned["value"], s=14, color=_COLOURS[1], label="pruned")
        axes.step(
            whole["trial"], whole["value"].cummax(), where="post", color=_COLOURS[2], label="best"
        )
        axes.set_xlabel("trial")
        axes.set_ylabel(f"{self.metric} on validation")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=8)
        if importance:
            names = list(importance)[::-1]
            panels[0, 1].barh(names, [importance[name] for name in names], color=_COLOURS[0])
            panels[0, 1].set_xlabel("importance (fANOVA)")
            panels[0, 1].tick_params(axis="y", labelsize=8)
        with new_file(self.folder / "trials.png") as file:
            figure.savefig(file, format="png", dpi=150)

    def _importance(self) -> dict[str, float]:
        whole = self._study.complete()
        if len(whole) < 10 or len({one.value for one in whole}) == 1:
            return {}
        optuna: Any = optional("optuna", "tune")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return optuna.importance.get_param_importances(self._study.optuna, evaluator=evaluator)

    def __rich__(self) -> Table:
        shown = self.trials[self.trials["state"] == "complete"]
        shown = shown.sort_values(["value", "trial"], ascending=[False, True]).head(_SHOWN)
        table = Table(title=f"best of {len(self.trials)} trials")
        for column in ("trial", self.metric, "seconds"):
            table.add_column(column, justify="right")
        table.add_column("values")
        for row in shown.to_dict("records"):
            trial = self._study.optuna.trials[row["trial"]]
            text = ", ".join(f"{key} {_short(value)}" for key, value in trial.params.items())
            if DEFAULT in trial.user_attrs:
                text = "the config as given"
            table.add_row(str(row["trial"]), f"{row['value']:.4f}", f"{row['seconds']:.1f}", text)
        return table


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
