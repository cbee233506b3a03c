"""The data sets of benchmarks/retrieval.py: how each is read and split."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from harness import ROOT

from tfrec_fusion.data import Catalogue, Interactions, Split
from tfrec_fusion.embeddings import LexicalEncoder

DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
TEXT, WORDS = "text", "words"
TABLES = ("interactions.parquet", "items.parquet", "minilm_384.npy")


@dataclass(frozen=True)
class Task:
    """A data set and its split.

    Attributes:
      folder: of the tables under `DATA`; None for the wheel of RecBole.
      kind: of the test split, and of the validation split within training.
      protocol: two lines for the page.
      stores: names of the items' vectors: a language model's and `LexicalEncoder`'s.
      events: options of `Interactions.from_parquet`.
      dislikes: whether low ratings of training are dislikes.
      without_valid: whether models are fitted without the last but one event of a user, as those of
        published tables are; histories have it.
      large: whether models of many epochs over all events are left out.
    """

    folder: str | None
    kind: str
    protocol: tuple[str, str]
    stores: tuple[str, ...] = (TEXT, WORDS)
    events: Mapping = field(default_factory=dict)
    dislikes: bool = False
    without_valid: bool = False
    large: bool = False

    @property
    def timed(self) -> bool:
        return self.kind == "temporal"

    @property
    def ordered(self) -> bool:
        return self.kind == "leave_one_out"

    @property
    def repeated(self) -> bool:
        return self.events.get("repeats") == "all"


_LIKES = "Ratings of 4 and more; a random fifth of the pairs is the test."
_ALL = "All items are ranked, those without a training event too, less the user's training items."
_MOVIES = Task("movies", "random", (f"MovieLens latest-small. {_LIKES}", _ALL))
_MOVIES = replace(_MOVIES, events={"min_rating": 4})
_LAST = "The last event of a user is the test, the last but one the validation."
_BEAUTY = Task("beauty", "leave_one_out", (f"Amazon Beauty 2014, 5-core. {_LAST}", _ALL))
_BEAUTY = replace(_BEAUTY, large=True)
_SCIENTIFIC = Task(
    "scientific",
    "leave_one_out",
    (
        f"Amazon Industrial and Scientific 2018. {_LAST}",
        "All items are ranked, the user's training items too, as in published tables.",
    ),
    events={"repeats": "all"},
)
_WITHOUT = " Weights are fitted without the validation events, histories have them."
TASKS: dict[str, Task] = {
    "retail": Task(
        "retail",
        "temporal",
        ("UCI Online Retail II, first purchase of each pair; the last tenth is the test.", _ALL),
        large=True,
    ),
    "movies": _MOVIES,
    "movies, graded": replace(
        _MOVIES,
        dislikes=True,
        protocol=(
            "As movies, with the same test pairs. Four fifths of the lower ratings are dislikes "
            "in training.",
            _ALL,
        ),
    ),
    "books": Task(
        "books",
        "random",
        (f"goodbooks-10k, a twentieth of its users. {_LIKES}", _ALL),
        events={"min_rating": 4},
        large=True,
    ),
    "ml-100k": Task(
        None,
        "random",
        ("MovieLens 100k, all ratings as events; a random quarter of the pairs is the test.", _ALL),
        stores=(WORDS,),
    ),
    "beauty": _BEAUTY,
    "beauty, without valid": replace(
        _BEAUTY, without_valid=True, protocol=(_BEAUTY.protocol[0] + _WITHOUT, _ALL)
    ),
    "scientific": _SCIENTIFIC,
    "scientific, without valid": replace(
        _SCIENTIFIC,
        without_valid=True,
        protocol=(_SCIENTIFIC.protocol[0] + _WITHOUT, _SCIENTIFIC.protocol[1]),
    ),
}


def absent(name: str, wheel: Path | None) -> str | None:
    """Why a data set cannot be read; None if it can."""
    folder = TASKS[name].folder
    if folder is None:
        return None if wheel is not None and wheel.is_file() else "pass --wheel, see --help"
    missing = [file for file in TABLES if not (DATA / folder / file).is_file()]
    return f"{DATA / folder} lacks {missing[0]}; set TFREC_FUSION_DATA" if missing else None


def fingerprint(name: str, wheel: Path | None) -> dict[str, int]:
    """File -> bytes, which tells other tables under the same name apart."""
    folder = TASKS[name].folder
    files = [wheel] if folder is None else [DATA / folder / file for file in TABLES]
    return {file.name: file.stat().st_size for file in files}


def texts(name: str, wheel: Path | None) -> list[str]:
    """The texts of the items."""
    folder = TASKS[name].folder
    if folder is not None:
        return pd.read_parquet(DATA / folder / "items.parquet", columns=["text"])["text"].tolist()
    items = _of_wheel(wheel, "item")
    return (items["movie_title"] + " " + items["class"]).tolist()


def read_task(
    name: str, stores: Sequence[str], words: Path | None = None, wheel: Path | None = None
) -> Split:
    """The test split of a data set.

    Args:
      stores: names of the vectors to read.
      words: file of the vectors of `WORDS`, from `texts`.
      wheel: of RecBole, for "ml-100k".
    """
    task = TASKS[name]
    if task.folder is None:
        items = _of_wheel(wheel, "item")
        catalogue = Catalogue(items, vectors={WORDS: words} if stores else None, numbers=[])
        pairs = _of_wheel(wheel, "inter")[["user_id", "item_id"]]
        return Interactions.from_frame(pairs, catalogue).split("random", test=0.25)
    found = {TEXT: DATA / task.folder / "minilm_384.npy", WORDS: words}
    catalogue = Catalogue.from_parquet(
        DATA / task.folder / "items.parquet", vectors={name: found[name] for name in stores}
    )
    path = DATA / task.folder / "interactions.parquet"
    split = Interactions.from_parquet(path, catalogue, **task.events).split(task.kind)
    if task.ordered and "split" in split.test.context:
        given = (split.test.context["split"] == "test").all()
        if not given:
            raise ValueError(f"{path}: the last event of a user is not its row of 'test'")
    if not task.dislikes:
        return split
    graded = Interactions.from_parquet(path, catalogue, low_ratings="dislike", **task.events)
    return with_dislikes(split, graded)


def with_dislikes(split: Split, graded: Interactions, seed: int = 0) -> Split:
    """The split with four fifths of the dislikes of its users in training.

    Args:
      graded: the events of the split, and dislikes.
    """
    graded = graded.encode_users(split.train.users)
    graded = graded.select(graded.user >= 0)
    in_test = np.isin(_pairs(graded), _pairs(split.test))
    drawn = np.random.default_rng(seed).random(len(graded)) < 0.2
    in_test = np.where(graded.is_target, in_test, drawn)
    return replace(split, train=graded.select(~in_test))


def _pairs(events: Interactions) -> np.ndarray:
    return events.user.astype(np.int64) * len(events.catalogue) + events.item


def _of_wheel(wheel: Path | None, table: str) -> pd.DataFrame:
    from features import table as table_of

    if wheel is None:
        raise ValueError("the wheel of RecBole is needed. Received: None")
    return table_of(wheel, table)


def split_of(name: str, kind: str, seed: int = 0, **options) -> Split:
    """A split of a folder's events with both vectors, for scripts of their own protocol."""
    items = DATA / name / "items.parquet"
    found = pd.read_parquet(items, columns=["text"])["text"].tolist()
    vectors = {TEXT: DATA / name / "minilm_384.npy", WORDS: LexicalEncoder().fit(found)}
    vectors[WORDS] = vectors[WORDS].encode(found)
    catalogue = Catalogue.from_parquet(items, vectors=vectors)
    path = DATA / name / "interactions.parquet"
    return Interactions.from_parquet(path, catalogue, **options).split(kind, seed=seed)
