"""What `auto` tried and chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.table import Table

from tfrec_fusion.evaluation import PairedDifference, Report


@dataclass(frozen=True)
class Trial:
    """A model that was tried on the validation part.

    Attributes:
      name: of the candidate.
      report: its evaluation; None if it was left out.
      seconds: of fitting and evaluating it.
      against: the best model minus this one in NDCG@10, with its 95 % interval; None for the best.
      left_out: why it was not tried; None if it was.
    """

    name: str
    report: Report | None
    seconds: float
    against: PairedDifference | None = None
    left_out: str | None = None


@dataclass(frozen=True)
class AutoResult:
    """The chosen model, and everything that was tried.

    Attributes:
      model: the chosen model, fitted on all training events of the split.
      name: of the chosen candidate.
      trials: of all candidates, from the simplest to the most complex.
      reason: why it was chosen, in a sentence.
    """

    model: Any
    name: str
    trials: list[Trial]
    reason: str

    def table(self) -> Table:
        """Returns a table of the trials; the chosen model is bold."""
        table = Table(title="models on the validation part", caption=self.reason)
        for heading in (
            "model",
            "NDCG@10",
            "Recall@20",
            "cold NDCG@10",
            "best minus it",
            "seconds",
        ):
            table.add_column(heading, justify="left" if heading == "model" else "right")
        for trial in self.trials:
            name = f"[bold]{trial.name}[/bold]" if trial.name == self.name else trial.name
            if trial.report is None:
                table.add_row(name, trial.left_out or "", *[""] * 4)
                continue
            metrics = trial.report.metrics
            cold = metrics.get("cold", {}).get("ndcg@10", float("nan"))
            against = trial.against
            table.add_row(
                name,
                f"{metrics['total']['ndcg@10']:.4f}",
                f"{metrics['total']['recall@20']:.4f}",
                f"{cold:.4f}" if cold == cold else "",
                f"[{against.low:+.4f}, {against.high:+.4f}]" if against else "best",
                f"{trial.seconds:.0f}",
            )
        return table

    def to_dict(self) -> dict[str, Any]:
        """Returns the choice and the trials as JSON values."""
        return {
            "chosen": self.name,
            "reason": self.reason,
            "trials": [
                {
                    "model": trial.name,
                    "seconds": trial.seconds,
                    "left_out": trial.left_out,
                    "evaluation": None if trial.report is None else trial.report.to_dict(),
                    "best_minus_it": trial.against and list(trial.against[:3]),
                }
                for trial in self.trials
            ],
        }
