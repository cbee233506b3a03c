"""One model's evaluation at one origin, in memory and on disk."""

from __future__ import annotations

import json
import math
import os
import zipfile
from dataclasses import dataclass

import numpy as np

from tfrec_fusion.data import Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.report import Report
from tfrec_fusion.files import new_file


@dataclass(frozen=True)
class OriginResult:
    """The evaluation of one model that was trained until an origin.

    Attributes:
      report: of the test window.
      users: `[users]` ids of the evaluated users, in the order of `report.users`.
      cold_items: ids of the cold items that are targets.
      train_events: number of training events.
      fit_seconds: duration of the training.
    """

    report: Report
    users: np.ndarray
    cold_items: tuple[str, ...]
    train_events: int
    fit_seconds: float

    @classmethod
    def of(cls, report: Report, split: Split, fit_seconds: float) -> OriginResult:
        """Adds to a report what is known of its split."""
        targets = np.unique(split.targets()[1].items)
        cold = targets[split.train.item_counts()[targets] == 0]
        return cls(
            report,
            split.train.users.ids[report.users],
            tuple(split.train.catalogue.vocabulary.ids[cold].tolist()),
            len(split.train),
            fit_seconds,
        )

    def users_of(self, label: str) -> np.ndarray:
        """Returns the ids of a slice's users, in the order of `report.slice_users`."""
        return self.users[np.searchsorted(self.report.users, self.report.slice_users[label])]

    def save(self, path: str | os.PathLike) -> None:
        """Writes the result atomically, with the values of each user."""
        report = self.report
        described = report.to_dict() | {
            "cold_items": self.cold_items,
            "train_events": self.train_events,
            "fit_seconds": self.fit_seconds,
        }
        arrays = {
            "described": np.array(json.dumps(described)),
            "users": np.asarray(self.users, str),
        }
        for label, rows in report.slice_users.items():
            arrays[f"rows/{label}"] = rows
            for metric, values in report.slice_per_user[label].items():
                arrays[f"values/{label}/{metric}"] = values
        with new_file(path) as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def read(cls, path: str | os.PathLike) -> OriginResult:
        """Reads a result that `save` wrote.

        Raises:
          InputError: the file holds no result.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            described = json.loads(str(arrays["described"]))
            slices = described["slices"]
            report = Report(
                name=described["name"],
                k=tuple(described["k"]),
                metrics={label: _numbers(part["metrics"]) for label, part in slices.items()},
                intervals={
                    label: {
                        metric: (low, high) for metric, (low, high) in part["intervals"].items()
                    }
                    for label, part in slices.items()
                },
                counts={
                    label: {name: part[name] for name in ("users", "targets")}
                    for label, part in slices.items()
                },
                slice_users={label: arrays[f"rows/{label}"] for label in slices},
                slice_per_user={
                    label: {
                        name.removeprefix(f"values/{label}/"): values
                        for name, values in arrays.items()
                        if name.startswith(f"values/{label}/")
                    }
                    for label in slices
                },
                split=described["split"],
                bootstrap=described["bootstrap"],
                seed=described["seed"],
                seconds=described["seconds"],
                sampled_from=described["sampled_from"],
            )
            return cls(
                report,
                arrays["users"].astype(object),
                tuple(described["cold_items"]),
                described["train_events"],
                described["fit_seconds"],
            )
        except (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError) as error:
            raise InputError(
                f"rolling origins: the file is no result of an origin; remove it to compute it "
                f"again. Received: {path} ({type(error).__name__})"
            ) from None


def _numbers(values: dict[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in values.items()}
