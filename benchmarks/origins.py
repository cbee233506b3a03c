"""Retail at several origins in time: the two-tower and classic models, pooled with intervals.

    python benchmarks/origins.py [--folder kept] [--models EASE ItemKNN ...] [--page]

Trains each model until each of six origins and evaluates it on the window after it; see
`tfrec_fusion.evaluation.rolling_origins`. `--folder` keeps finished origins, so that a stopped call
goes on. `--page` writes the tables into docs/evaluation.md. The data is read from
TFREC_FUSION_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from markers import write_between

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.evaluation import RollingReport, rolling_origins
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.classic import EASE, ItemKNN, RecentPopularity
from tfrec_fusion.optimizers import adam
from tfrec_fusion.times import utc

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")


def two_tower(train: Interactions) -> TwoTower:
    """Trains the defaults of a run."""
    keras.utils.set_random_seed(0)
    model = TwoTower(train)
    batches = train.batches(512)
    model.compile(adam(3e-3, steps=2 * len(batches)))
    model.fit(batches, epochs=2, verbose=0)
    return model


MODELS = {
    "RecentPopularity": RecentPopularity().fit,
    "ItemKNN": ItemKNN().fit,
    "EASE": EASE().fit,
    "TwoTower": two_tower,
}


def markdown(report: RollingReport) -> str:
    """The pooled table and that of the origins."""
    reference, first = report.reference, report.names[0]
    lines = [
        f"| model | NDCG@10 | minus {reference} | Recall@20 | warm | cold | "
        f"cold minus {reference} | tail | training |",
        "| --- |" + " ---: |" * 8,
    ]
    for name in report.names:
        values, less = report.metrics[name], report.differences[name]
        low, high = report.intervals[name]["total"]["ndcg@10"]
        cells = [
            f"{short(values['total']['ndcg@10'])} [{short(low)}, {short(high)}]",
            between(less["total"].get("ndcg@10")),
            short(values["total"]["recall@20"]),
            short(values["warm"]["ndcg@10"]),
            short(values["cold"]["ndcg@10"]),
            between(less["cold"].get("ndcg@10")),
            short(values["tail"]["ndcg@10"]),
            f"{sum(origin[name].fit_seconds for origin in report.origins):,.0f} s",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    total, cold = report.counts["total"], report.counts["cold"]
    lines += [
        "",
        f"{total['cases']:,} evaluations of {total['users']:,} users; {len(report.cold_items):,} "
        f"cold items in {cold['cases']:,} evaluations of {cold['users']:,} users. By origin, "
        "NDCG@10:",
        "",
        "| origin | until | training events | users | cold items | "
        + " | ".join(report.names)
        + " |",
        "| --- | --- |" + " ---: |" * (3 + len(report.names)),
    ]
    for window, origin in zip(report.windows, report.origins, strict=True):
        one = origin[first]
        lines.append(
            f"| {utc(window.start)[:10]} | {utc(window.end)[:10]} | {one.train_events:,} | "
            f"{one.report.counts['total']['users']:,} | {len(one.cold_items)} | "
            + " | ".join(short(x.report.metrics["total"]["ndcg@10"]) for x in origin.values())
            + " |"
        )
    return "\n".join(lines)


def short(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1)


def between(found) -> str:
    if found is None:
        return ""
    return f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="keep finished origins here")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--page", action="store_true", help="write into docs/evaluation.md")
    arguments = parser.parse_args()
    folder = DATA / "retail"
    catalogue = Catalogue.from_parquet(
        folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
    )
    events = Interactions.from_parquet(folder / "interactions.parquet", catalogue)
    report = rolling_origins(
        {name: MODELS[name] for name in arguments.models},
        events,
        reference=arguments.models[-1],
        folder=arguments.folder,
    )
    print(report)
    if arguments.json:
        report.save(arguments.json)
    if arguments.page:
        write_between(ROOT / "docs" / "evaluation.md", "retail", markdown(report))


if __name__ == "__main__":
    main()
