"""What benchmarks/fusion.py compares, on what, and which settings it tries."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from harness import ROOT

from tfrec_fusion.layers.fusions import FUSIONS

DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
ID_ONLY, TEXT_ONLY, TEXT_MEAN = "ID-only", "text-only", "whitened text mean, untrained"
SPECTRAL, SPECTRAL_IDS = "spectral start", "ID-only, spectral start"
ALPHA_REC, LLM_START = "AlphaRec", "LLM-initialised IDs"
LARGE = "512 columns"
TEXT, WORDS = "text", "words"
LARGE_DIM = 512


@dataclass(frozen=True)
class Task:
    """A data set, how it is split, and the budget that all of its rows have.

    Attributes:
      split: kind of the test split, and of the validation split within training.
      goals: slice -> what the recommended fusion must reach; see `fusions.page.claims`.
      min_rating: smaller ratings are left out.
      dim, batch, epochs, examples, options: of every `TwoTower`.
      settings: what every trained row tries: learning rate and weight of the ids' L2 norm.
      more_settings: what the ID-only rows try besides.
      large_epochs: of the rows of 512 columns.
      spectral_dim, spectral_epochs, popularity_power: of the rows with a spectral start.
      pair_batch, pair_epochs: of AlphaRec.
    """

    split: str
    goals: dict[str, float]
    min_rating: float | None
    dim: int
    batch: int
    epochs: int
    examples: str
    options: dict
    settings: tuple[dict, ...]
    more_settings: tuple[dict, ...]
    spectral_dim: int = 1024
    spectral_epochs: int = 3
    popularity_power: float = 0.0
    large_epochs: int = 15
    pair_batch: int = 8192
    pair_epochs: int = 6


def _setting(learning_rate: float, id_l2: float, **more) -> dict:
    return {"learning_rate": learning_rate, "id_l2": id_l2, **more}


TASKS = {
    "retail": Task(
        split="temporal",
        goals={"total": 1.10, "warm": 1.0, "cold": 1.0, "tail": 1.0},
        min_rating=None,
        dim=128,
        batch=512,
        epochs=2,
        examples="as_of",
        options={},
        settings=(_setting(3e-3, 5e-4), _setting(3e-3, 5e-5)),
        more_settings=(
            _setting(3e-3, 5e-6),
            _setting(3e-3, 5e-5, id_dropout=0.0),
            _setting(1.5e-3, 5e-5),
        ),
    ),
    "books": Task(
        split="random",
        goals={"total": 1.03, "warm": 1.0, "cold": 1.0, "tail": 1.0},
        min_rating=4,
        dim=128,
        batch=256,
        epochs=10,
        examples="autoencoder",
        options={"trend": False, "user_layer": False, "whitening_dim": 384, "id_dropout": 0.0},
        settings=(_setting(3e-3, 1e-4), _setting(6e-3, 1e-4), _setting(3e-3, 0.0)),
        more_settings=(
            _setting(6e-3, 0.0),
            _setting(1e-2, 0.0),
            _setting(1.5e-3, 0.0),
            _setting(3e-3, 1e-5),
        ),
    ),
    "movies": Task(
        split="random",
        goals={},
        min_rating=4,
        dim=128,
        batch=256,
        epochs=15,
        examples="autoencoder",
        options={"trend": False, "user_layer": False, "whitening_dim": 384},
        settings=(_setting(3e-3, 1e-4), _setting(6e-3, 1e-4), _setting(3e-3, 0.0)),
        more_settings=(
            _setting(6e-3, 0.0),
            _setting(1e-3, 0.0),
            _setting(3e-3, 0.0, id_dropout=0.0),
            _setting(3e-3, 1e-3),
        ),
        spectral_dim=512,
        spectral_epochs=1,
        popularity_power=0.25,
        pair_batch=4096,
        pair_epochs=20,
    ),
}


@dataclass(frozen=True)
class Row:
    """One line of the tables.

    Attributes:
      options: of the model, beside the task's.
      kind: "two_tower", "alpha_rec" or "text mean" (no training, no seed).
      group: "ids", "text", "fusion" or "start"; claims hold the fusions against the ids.
      spectral: weight of the text in a spectral start; None for no such start.
      large: whether it has more columns and epochs than the task's rows.
      trained: False leaves the model as it starts.
      stores: vectors of the items: "text" (a language model's) and "words" (`LexicalEncoder`'s).
        A spectral start takes the first.
      data: where the row makes sense.
      cost: how long a run takes, roughly, in those of the ID-only row.
    """

    options: dict = field(default_factory=dict)
    kind: str = "two_tower"
    group: str = "fusion"
    spectral: float | None = None
    large: bool = False
    trained: bool = True
    stores: tuple[str, ...] = (TEXT,)
    data: tuple[str, ...] = tuple(TASKS)
    cost: float = 1.5

    @property
    def random(self) -> bool:
        """Whether a seed changes anything."""
        return self.trained and self.kind != "text mean"

    def settings(self, task: Task) -> list[dict]:
        """What is tried on the validation split."""
        if not self.random:
            return [{}]
        if self.kind == "alpha_rec":
            return [{"learning_rate": 1e-2}, {"learning_rate": 3e-3}]
        if self.spectral is not None:
            rates = [_setting(rate, 0.0) for rate in (1e-4, 2e-4)]
            if self.group == "ids":
                weaker = [_setting(1e-4, 0.0, regularization=x) for x in (100.0, 300.0, 400.0)]
                return [*rates, _setting(6e-4, 0.0), *weaker]
            mixed = [(20.0, 200.0), (20.0, 300.0), (20.0, 400.0), (30.0, 200.0)]
            return rates + [
                _setting(1e-4, 0.0, text_weight=weight, regularization=strength)
                for weight, strength in mixed
            ]
        if not self.options.get("use_ids", True):
            return [{"learning_rate": rate} for rate in (3e-3, 1e-3)]
        return [*task.settings, *(task.more_settings if self.group == "ids" else ())]


_COST = {"gate": 4, "cross_attention": 9, "dual_view": 6, "film": 3, "expert": 5}
_COST["hybrid_expert"] = 5
_UNTIMED = tuple(name for name, task in TASKS.items() if task.split == "random")
_IDS = {"vectors": [], "id_dropout": 0.0}
_LLM_START = {"fusion": "delta", "fusion_options": {"bound": None}}
_LARGE = {"data": ("books",), "large": True, "cost": 4}
ROWS: dict[str, Row] = {
    ID_ONLY: Row({"vectors": []}, group="ids", cost=1),
    f"{ID_ONLY}, {LARGE}": Row({"vectors": []}, group="ids", **_LARGE),
    SPECTRAL_IDS: Row(_IDS, group="ids", spectral=0.0, data=_UNTIMED),
    TEXT_MEAN: Row(kind="text mean", group="text", cost=0.1),
    TEXT_ONLY: Row({"use_ids": False}, group="text"),
    ALPHA_REC: Row(
        {"whitening_dim": 128, "temperature": 0.1, "negatives": 2048},
        kind="alpha_rec",
        group="text",
        cost=3,
    ),
    **{name: Row({"fusion": name}, cost=_COST.get(name, 1.5)) for name in FUSIONS},
    LLM_START: Row(_LLM_START),
    f"sum, {LARGE}": Row({"fusion": "sum"}, **_LARGE),
    f"{LLM_START}, {LARGE}": Row(_LLM_START, **_LARGE),
    f"{SPECTRAL}, untrained": Row(_IDS, group="start", spectral=10.0, trained=False, data=_UNTIMED),
    SPECTRAL: Row(_IDS, spectral=10.0, data=_UNTIMED),
    f"{WORDS}-only": Row({"use_ids": False}, group="text", stores=(WORDS,)),
    f"sum, {WORDS}": Row({"fusion": "sum"}, stores=(WORDS,), data=_UNTIMED),
    f"sum, {TEXT} and {WORDS}": Row({"fusion": "sum"}, stores=(TEXT, WORDS)),
    f"sum, {WORDS}, {LARGE}": Row({"fusion": "sum"}, stores=(WORDS,), **_LARGE),
    f"{SPECTRAL}, {WORDS}, untrained": Row(
        _IDS, group="start", spectral=10.0, trained=False, stores=(WORDS,), data=_UNTIMED
    ),
    f"{SPECTRAL}, {WORDS}": Row(_IDS, spectral=10.0, stores=(WORDS,), data=_UNTIMED),
}
# Some eight minutes for all data sets; rows that are much like others are left out.
_LIKE_OTHERS = ("concat", "additive", LLM_START, f"{WORDS}-only")
QUICK = tuple(n for n, row in ROWS.items() if row.cost <= 1.5 and n not in _LIKE_OTHERS)
