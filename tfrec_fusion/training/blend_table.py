"""The table of how a blend was chosen."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tfrec_fusion.evaluation import paired_bootstrap

_METRIC = "ndcg@10"
_log = logging.getLogger(__name__)


@dataclass
class BlendTable:
    """The rows of the table of a choice.

    Attributes:
      user: `[values]` number of the user of each value that is compared.
      bootstrap, seed: see `paired_bootstrap`.
      rows: one for each blend.
    """

    user: np.ndarray
    bootstrap: int
    seed: int
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, score: np.ndarray, **more) -> None:
        """Adds a row with the mean of the scores."""
        self.rows.append({"blend": name, _METRIC: float(score.mean()), "taken": False, **more})

    def take(self, name: str) -> None:
        """Marks a row as taken."""
        for row in self.rows:
            row["taken"] |= row["blend"] == name

    def compare(
        self,
        name: str,
        after: np.ndarray,
        before: np.ndarray,
        cold: tuple[float, float] | None = None,
        shown: np.ndarray | None = None,
    ) -> bool:
        """Adds a row of `shown`, else `after`, and returns whether the later blend is to be taken.

        It must be better beyond noise; or, with `cold` before and after, better there and not worse
        beyond noise, or equal there and better beyond noise.
        """
        found = paired_bootstrap(
            after, before, users=self.user, bootstrap=self.bootstrap, seed=self.seed
        )
        taken = found.low > 0
        more = {"difference": found.difference, "low": found.low, "high": found.high}
        if cold is not None:
            better = cold[1] > cold[0] and found.high >= 0
            taken = better or (cold[1] == cold[0] and found.low > 0)
            more[f"cold {_METRIC}"] = cold[1]
        self.add(name, after if shown is None else shown, **more)
        self.rows[-1]["taken"] = bool(taken)
        _log.info("choose_blend: %s: %.4f, %s", name, after.mean(), "taken" if taken else "left")
        return bool(taken)

    def frame(self) -> pd.DataFrame:
        """Returns the table of `ChosenBlend`."""
        names = ["blend", _METRIC, f"cold {_METRIC}", "difference", "low", "high", "taken"]
        return pd.DataFrame(self.rows).reindex(columns=names)
