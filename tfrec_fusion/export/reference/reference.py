"""`assets.extra/reference.json`: reference distributions for monitoring a version."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from tfrec_fusion.config import distinct_keys
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.reference.categories import Categories
from tfrec_fusion.export.reference.distribution import Distribution
from tfrec_fusion.paths import local_path

REFERENCE = "assets.extra/reference.json"
_FORMAT = 1


@dataclass(frozen=True)
class Reference:
    """Distributions of requests and answers at the time of the export, without drift.

    Attributes:
      ranks: whether the model is a ranker, whose answers are scores of given items.
      requests: number of training users (for a ranker: events) that were requested.
      depth: number of scores used of each answer, from the first; None uses all.
      history_length: history lengths of all training users.
      scores: the first `depth` scores of each answer, or None without requests.
      best_score: score of the first item of each answer; None for a ranker.
      answered_popularity: `[11]` counts of the answers' items by `popularity_groups`, or None.
      history_popularity: the same for the items of the training histories.
      coverage, gini: share of the catalogue that the answers cover, and Gini coefficient of the
        answers' item counts; None for a ranker.
      features: input of requests that gives a context or a feature of users -> its distribution in
        training.
      optional: those of `features` that replace stored values, so that most requests leave them
        out; only given values are compared.
    """

    ranks: bool
    requests: int
    depth: int | None
    history_length: Distribution
    scores: Distribution | None
    best_score: Distribution | None
    answered_popularity: list[int] | None
    history_popularity: list[int]
    coverage: float | None
    gini: float | None
    features: dict[str, Distribution | Categories] = field(default_factory=dict)
    optional: list[str] = field(default_factory=list)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the file."""
        values = {"format": _FORMAT, "known_users": 1.0}
        for name, value in vars(self).items():
            if name == "features":
                value = {column: found.to_dict() for column, found in value.items()}
            elif isinstance(value, Distribution):
                value = value.to_dict()
            values[name] = value
        text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, version: str | os.PathLike) -> Reference:
        """Reads the file of a version's folder.

        Raises:
          InputError: the file is missing or was not written by `save`.
        """
        path = local_path(version, "monitor") / REFERENCE
        try:
            values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=distinct_keys)
        except FileNotFoundError:
            raise InputError(
                f"monitor: {path} is missing; export the model again to write it"
            ) from None
        except (OSError, ValueError) as error:
            raise InputError(f"monitor: {path} is not readable: {error}") from None
        if not isinstance(values, dict) or values.pop("format", None) != _FORMAT:
            raise InputError(f"monitor: {path}: format must be {_FORMAT}")
        values.pop("known_users", None)
        try:
            for name in ("history_length", "scores", "best_score"):
                if values[name] is not None:
                    values[name] = Distribution(**values[name])
            values["features"] = {
                column: (Distribution if "edges" in found else Categories)(**found)
                for column, found in values["features"].items()
            }
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"monitor: {path} was not written by export: {error}") from None
