"""What rankers of several labels gain over one ranker a label, on retail.

    python benchmarks/multi_task.py [--seeds 3] [--quick] [--json FILE] [--page]

For each first purchase of an item by a user: `again` is whether the user buys it again within 90
days, `spend` the amount paid for it in these days, 0 if none. Test rows are the first purchases
from 180 to 90 days before the last event; training rows are earlier ones, whose labels are missing
if their 90 days are not over when the test begins. All features of a test row are as of the begin
of the test. `--page` writes the table into docs/ranking.md. The data has its own README and is read
from TFREC_FUSION_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from harness import ROOT, machine, replace_file
from markers import write_between
from scipy.stats import spearmanr

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.metrics import auc
from tfrec_fusion.models import Ranker
from tfrec_fusion.optimizers import adam
from tfrec_fusion.times import DAY

DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
WINDOW = 90 * DAY
AGAIN, SPEND = {"again": "binary"}, {"spend": "zero_inflated_log_normal"}
BOTH = AGAIN | SPEND
MODELS: dict[str, dict] = {
    "`again` alone": {"heads": AGAIN},
    "`spend` alone": {"heads": SPEND},
    "shared bottom": {"heads": BOTH},
    "shared bottom, uncertainty": {"heads": BOTH, "loss_weighting": "uncertainty"},
    "MMoE, uncertainty": {"heads": BOTH, "loss_weighting": "uncertainty", "backbone": "mmoe"},
    "PLE, uncertainty": {"heads": BOTH, "loss_weighting": "uncertainty", "backbone": "ple"},
}
FIGURES = ("again AUC", "spend rank correlation", "spend AUC")


def labelled() -> tuple[Interactions, Interactions, float]:
    """The training events, those of the test, and the time of the cut."""
    folder = DATA / "retail"
    frame = pd.read_parquet(folder / "interactions.parquet")
    frame["amount"] = frame["quantity"] * frame["unit_price"]
    # One row a time of purchase: an invoice may hold an item twice.
    keys = ["user_id", "item_id", "timestamp"]
    frame = frame.groupby(keys, as_index=False)["amount"].sum().sort_values(keys)
    pair = frame.groupby(keys[:2], sort=False)["timestamp"]
    first = pair.transform("min")
    later = frame[(frame["timestamp"] > first) & (frame["timestamp"] <= first + WINDOW)]
    spend = later.groupby(keys[:2])["amount"].sum().clip(lower=0).rename("spend")
    events = frame[frame["timestamp"] == first].join(spend, on=keys[:2])
    events["spend"] = events["spend"].fillna(0.0)
    events["again"] = (events["spend"] > 0).astype(float)
    end = float(frame["timestamp"].max())
    cut = end - 2 * WINDOW
    unknown = (events["timestamp"] + WINDOW > cut) & (events["timestamp"] < cut)
    events.loc[unknown, ["spend", "again"]] = np.nan
    catalogue = Catalogue.from_parquet(
        folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
    )
    columns = [*keys, "again", "spend"]
    found = Interactions.from_frame(events[columns], catalogue, labels=["again", "spend"])
    train = found.select(found.timestamp < cut)
    test = found.select((found.timestamp >= cut) & (found.timestamp < end - WINDOW))
    return train, test.encode_users(train.users), cut


def trained(train: Interactions, options: dict, seed: int, epochs: int) -> Ranker:
    """A ranker of the labels of `options`."""
    keras.utils.set_random_seed(seed)
    known = train.select(~np.isnan(train.labels["again"]))
    model = Ranker(known, dim=32, **options)
    batches = ranking_examples(known, 1024, known=train, negatives=0, seed=seed)
    model.compile(adam(2e-3, steps=epochs * len(batches)))
    model.fit(batches, epochs=epochs, verbose=0)
    return model


def figures(model: Ranker, batches: list) -> dict[str, float]:
    """AUC of `again`; of `spend` the rank correlation, and the AUC of its being above 0."""
    outputs: dict[str, list] = {name: [] for name in model.heads}
    for batch in batches:
        for name, one in model(batch, by_head=True).items():
            outputs[name].append(model.heads[name].score(one).numpy().reshape(-1))
    label = {
        name: np.concatenate([batch[f"label/{name}"].numpy().reshape(-1) for batch in batches])
        for name in ("again", "spend")
    }
    found = {}
    for name, parts in outputs.items():
        scores = np.concatenate(parts)
        if name == "again":
            found["again AUC"] = auc(label["again"], scores)
        else:
            found["spend rank correlation"] = float(spearmanr(label["spend"], scores).statistic)
            found["spend AUC"] = auc(label["again"], scores)
    return found


def markdown(runs: dict[str, list[dict[str, float]]]) -> str:
    """Means over seeds with standard deviations."""
    heads = [*FIGURES, "seconds"]
    lines = ["| model | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
    for name, found in runs.items():
        cells = []
        for key in FIGURES:
            values = [run[key] for run in found if key in run]
            spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.4f}{spread}".replace("0.", ".") if values else "")
        seconds = np.median([run["seconds"] for run in found])
        lines.append(f"| {name} | " + " | ".join([*cells, f"{seconds:.0f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one seed and epoch")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--page", action="store_true", help="write the table of docs/ranking.md")
    arguments = parser.parse_args()
    seeds, epochs = (1, 1) if arguments.quick else (arguments.seeds, arguments.epochs)
    train, test, cut = labelled()
    batches = list(ranking_examples(test, 2048, known=train, at=cut, negatives=0, shuffle=False))
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in MODELS}
    for seed in range(seeds):
        for name, options in MODELS.items():
            started = time.perf_counter()
            model = trained(train, options, seed, epochs)
            seconds = time.perf_counter() - started
            runs[name].append(figures(model, batches) | {"seconds": seconds})
            print(f"seed {seed}, {name}: {runs[name][-1]}", flush=True)
    known = int((~np.isnan(train.labels["again"])).sum())
    body = (
        f"{known:,} training rows, {len(test):,} test rows, {test.labels['again'].mean():.1%} "
        f"bought again; {seeds} seed(s).\n\n{markdown(runs)}"
    )
    print(body)
    if arguments.page:
        write_between(ROOT / "docs" / "ranking.md", "multi-task", body)
    if arguments.json:
        replace_file(arguments.json, json.dumps({"machine": machine(), "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
