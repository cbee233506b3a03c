"""What declared features add: of users and items on MovieLens 100k, of all sides on retail.

    python benchmarks/features.py --wheel recbole-1.2.1-py3-none-any.whl [--seeds 3] [--json F]
                                  [--page]
    python benchmarks/features.py --retail [--seeds 3] [--page]

The data comes with the wheel of RecBole (`pip download --no-deps recbole==1.2.1`); GroupLens's
terms allow research and no redistribution. Ratings of 4 and more, split at random by 80 to 20. Each
model is evaluated with whole histories and with those cut to the last 0, 1 and 3 events, as for new
users. `shuffled` gives every user and item the features of another. The intervals are 95 % paired
bootstraps over users, of the mean over seeds, against the model without features, which is trained
with the same history dropout. `--page` writes the table into docs/features.md.


Retail is split in time; the features are the item's price in bins, the user's country and the
season of the request. The data is read from TFREC_FUSION_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from markers import write_between

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions, Split
from tfrec_fusion.evaluation import evaluate, paired_bootstrap
from tfrec_fusion.features import Category, Features, Number, Tags, Time
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.classic import Popularity
from tfrec_fusion.optimizers import adam

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
FOLDER = "recbole/dataset_example/ml-100k/ml-100k"
EPOCHS = 30
HISTORIES = (0, 1, 3, None)
ITEM = (Tags(column="class", separator=" "), Number(column="release_year", scale="quantile"))
USER = (
    Number(column="age", scale="quantile", bins=8),
    Category(column="gender"),
    Category(column="occupation"),
)
MODELS: dict[str, tuple[Features, dict]] = {
    "no features": (Features(), {}),
    "features of users and items": (Features(item=ITEM, user=USER), {}),
    "features of users": (Features(user=USER), {}),
    "features of items": (Features(item=ITEM), {}),
    "of items, fused, `modality_dropout=.2`": (
        Features(item=ITEM),
        {"item_features": "fused", "modality_dropout": 0.2},
    ),
    "of items, `id_dropout=.25`": (Features(item=ITEM), {"id_dropout": 0.25}),
    "shuffled": (Features(item=ITEM, user=USER), {}),
}

PRICE = (Number(column="price", scale="quantile"),)
COUNTRY = (Category(column="country", min_count=5),)
SEASON = (Time(column="timestamp", parts=("season",)),)
ALL_SIDES = Features(item=PRICE, user=COUNTRY, context=SEASON)
RETAIL: dict[str, tuple[Features, dict]] = {
    "no features": (Features(), {}),
    "price, country, season": (ALL_SIDES, {}),
    "the same, `feature_dim=4`, `history_dropout=0`": (
        ALL_SIDES,
        {"feature_dim": 4, "history_dropout": 0.0},
    ),
    "price": (Features(item=PRICE), {}),
    "country": (Features(user=COUNTRY), {}),
    "season": (Features(context=SEASON), {}),
}
SLICES = ("total", "warm", "cold", "head", "tail", "new users", "old users")


def table(wheel: Path, name: str) -> pd.DataFrame:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"{FOLDER}.{name}").decode("utf-8")
    frame = pd.read_csv(io.StringIO(text), sep="\t", dtype=str, keep_default_na=False)
    return frame.rename(columns=lambda column: column.partition(":")[0])


def split_of(wheel: Path, shuffle: bool) -> Split:
    items, users = table(wheel, "item"), table(wheel, "user")
    items["release_year"] = pd.to_numeric(items["release_year"], errors="coerce")
    users["age"] = users["age"].astype(float)
    if shuffle:
        rng = np.random.default_rng(0)
        for frame, key in ((items, "item_id"), (users, "user_id")):
            columns = [column for column in frame if column != key]
            frame[columns] = frame.loc[rng.permutation(len(frame)), columns].to_numpy()
        items["release_year"] = items["release_year"].astype(float)
        users["age"] = users["age"].astype(float)
    events = table(wheel, "inter").drop(columns="timestamp")
    events["rating"] = events["rating"].astype(float)
    catalogue = Catalogue(items, numbers=[])
    found = Interactions.from_frame(events, catalogue, min_rating=4, users=users)
    return found.split("random", test=0.2)


def per_user(model, split: Split, name: str) -> dict[str, np.ndarray]:
    """Label of the history -> NDCG@10 of each user; and of cold items, where there are any."""
    found = {}
    for last in HISTORIES:
        report = evaluate(model, split, bootstrap=0, history=last, name=name)
        found["all" if last is None else str(last)] = report.slice_per_user["total"]["ndcg@10"]
    found["cold"] = report.slice_per_user["cold"]["ndcg@10"]
    return found


def trained(split: Split, features: Features, options: dict, seed: int) -> TwoTower:
    keras.utils.set_random_seed(seed)
    model = TwoTower(split.train, dim=128, features=features, history_dropout=0.2, **options)
    batches = split.train.batches(64, seed=seed)
    model.compile(adam(3e-3, steps=EPOCHS * len(batches)))
    model.fit(batches, epochs=EPOCHS, verbose=0)
    return model


def retail(seeds: int) -> list[dict]:
    """The rows of the table by slices; differences are of the total."""
    folder = DATA / "retail"
    frame = pd.read_parquet(folder / "interactions.parquet")
    users = frame.groupby("user_id")["country"].agg(lambda values: values.mode()[0]).reset_index()
    catalogue = Catalogue.from_parquet(
        folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
    )
    columns = ["user_id", "item_id", "timestamp"]
    split = Interactions.from_frame(frame[columns], catalogue, users=users).split("temporal")
    rows: list[dict] = []
    control = None
    for name, (features, options) in RETAIL.items():
        reports = []
        for seed in range(seeds):
            keras.utils.set_random_seed(seed)
            model = TwoTower(split.train, features=features, **options)
            side = model.spec.context_side
            batches = split.train.batches(512, seed=seed, context_side=side)
            model.compile(adam(3e-3, steps=2 * len(batches)))
            model.fit(batches, epochs=2, verbose=0)
            reports.append(evaluate(model, split, bootstrap=0))
        users_mean = np.mean([report.per_user["ndcg@10"] for report in reports], 0)
        row: dict = {"model": name}
        for part in SLICES:
            values = [report.metrics[part]["ndcg@10"] for report in reports]
            row[part] = {"N@10": float(np.mean(values)), "deviation": float(np.std(values, ddof=1))}
        if control is None:
            control = users_mean
        else:
            found = paired_bootstrap(users_mean, control, bootstrap=2000)
            row["total"] |= {"low": found.low, "high": found.high}
        print(name, {part: round(row[part]["N@10"], 4) for part in SLICES}, flush=True)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--retail", action="store_true", help="retail instead of MovieLens 100k")
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--page", action="store_true", help="write the table into docs/features.md")
    arguments = parser.parse_args()
    if arguments.retail:
        rows = retail(arguments.seeds)
        finish(rows, arguments, "retail")
        return
    if arguments.wheel is None:
        parser.error("--wheel or --retail is needed")
    splits = {shuffle: split_of(arguments.wheel, shuffle) for shuffle in (False, True)}
    results = {"popularity": per_user(Popularity().fit(splits[False].train), splits[False], "pop")}
    for name, (features, options) in MODELS.items():
        split = splits[name == "shuffled"]
        runs = [
            per_user(trained(split, features, options, seed), split, name)
            for seed in range(arguments.seeds)
        ]
        results[name] = {label: np.mean([run[label] for run in runs], 0) for label in runs[0]}
        print(name, {label: round(v.mean(), 4) for label, v in results[name].items()}, flush=True)
    rows, control = [], results["no features"]
    for name, values in results.items():
        row = {"model": name}
        for label, users in values.items():
            row[label] = {"N@10": float(users.mean())}
            if name != "no features":
                found = paired_bootstrap(users, control[label], bootstrap=2000)
                row[label] |= {"low": found.low, "high": found.high}
        rows.append(row)
    finish(rows, arguments, "ml-100k")


def finish(rows: list[dict], arguments: argparse.Namespace, name: str) -> None:
    """Prints the rows and writes them where the arguments say."""
    print(markdown(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if arguments.page:
        write_between(ROOT / "docs" / "features.md", name, markdown(rows))


def markdown(rows: list[dict]) -> str:
    labels = [label for label in rows[0] if label != "model"]
    names = {"all": "whole histories", "cold": "cold items"}
    heads = [names.get(label, label if label in SLICES else f"last {label}") for label in labels]
    lines = ["| model | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
    for row in rows:
        cells = []
        for label in labels:
            text = f"{row[label]['N@10']:.3f}".replace("0.", ".", 1)
            if "low" in row[label]:
                text += f" [{row[label]['low']:+.3f}, {row[label]['high']:+.3f}]"
            cells.append(text)
        lines.append(f"| {row['model']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
