"""The EASE family on public leave-one-out sets, whose events have an order and no times.

    python benchmarks/leave_one_out.py [--data beauty scientific] [--models EASE ...] [--json F]

The last item of each user is the target, among all items. "Fitted on" says which events the weights
come from; the history that is scored is always everything before the target. Published tables of
beauty leave the history out of the candidates, those of scientific do not (repeated items count
there). The settings were chosen on the validation item, the last but one. The data has its own
READMEs and is read from TFREC_FUSION_DATA, else ../shared/data.
"""

import argparse
import json
import os
import time
from pathlib import Path

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.models.classic import EASE, SparseEASE

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
REPEATS = {"beauty": "first", "scientific": "all"}
_TEXT = {
    "beauty": {"vectors": "text", "text_weight": 60, "dims": 256},
    "scientific": {"vectors": "text", "text_weight": 20, "dims": 128},
}
_ORDER = {
    "beauty": {"step_decay": 0.5, "transition_weight": 0.05},
    "scientific": {"step_decay": 0.8},
}
MODELS = {
    "EASE": lambda data: EASE(l2=500),
    "EASE, decay": lambda data: EASE(l2=500, **_ORDER[data]),
    "EASE, decay, text": lambda data: EASE(l2=500, **_ORDER[data], **_TEXT[data]),
    "SparseEASE, decay, text": lambda data: SparseEASE(l2=500, **_ORDER[data], **_TEXT[data]),
}


def read(data: str) -> Interactions:
    folder = DATA / data
    shop = Catalogue.from_parquet(
        folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
    )
    return Interactions.from_parquet(folder / "interactions.parquet", shop, repeats=REPEATS[data])


def rows(data: str, names: list[str]):
    """Yields a row for each model and each set of events that it is fitted on."""
    split = read(data).split("leave_one_out")
    given = (split.test.context["split"] == "test").all()
    assert given, "the last event of a user is not the test row of the data"
    for name in names:
        for fitted_on, train in (
            ("train", split.validation().train),
            ("train, valid", split.train),
        ):
            started = time.perf_counter()
            model = MODELS[name](data).fit(train)
            row = {"data": data, "model": name, "fitted on": fitted_on}
            row["fit s"] = time.perf_counter() - started
            for column, masks in (("masked", True), ("not masked", False)):
                if masks and split.repeats == "all":
                    continue
                options = {"bootstrap": 0, "slices": False, "mask_history": masks}
                found = evaluate(model, split, k=(10, 50), **options).metrics["total"]
                row |= {f"{column} {metric}": found[metric] for metric in METRICS}
            yield row


METRICS = ("recall@10", "ndcg@10", "recall@50", "ndcg@50")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", choices=REPEATS, default=[*REPEATS])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=[*MODELS])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = []
    for data in options.data:
        for row in rows(data, options.models):
            found.append(row)
            numbers = (f"{k} {v:.4f}" for k, v in row.items() if "@" in k)
            print(
                f"{data}: {row['model']}, fitted on {row['fitted on']} ({row['fit s']:.0f} s):",
                ", ".join(numbers),
                flush=True,
            )
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
