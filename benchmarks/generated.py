"""Cost and quality of the default model on a generated shop, by its size.

    python benchmarks/generated.py [--events 100000 1000000 10000000] [--json F] [--page]

For each size, in processes of their own: the shop is drawn and written as Parquet files; then it is
read, the default TwoTower is trained on a temporal split, and it is evaluated on a random sample of
test users, with recent popularity, item-kNN, the oracle that knows the true probabilities of the
test period, and the best that can be inferred before it (see `generated_shop.py`). It prints
seconds, the peak of memory until the training has ended, and NDCG@10. `--examples whole` trains on
all cuts of each user, with the softmax over the whole catalogue. `--page` writes the table and
the plot of docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from markers import write_between

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
PLOT = PAGE.parent / "images" / "generated.png"
OPTIONS = {
    "default": {},
    "whole": {"cuts_per_user": None, "candidates": None},
}


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


class Watch:
    """Seconds of named steps: of the clock, and of the processors."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self.processor_seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str):
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.seconds[name] = time.perf_counter() - wall
        self.processor_seconds[name] = time.process_time() - processor
        print(
            f"  {name}: {self.seconds[name]:.1f} s, {self.processor_seconds[name]:.1f} s of "
            f"processors, peak {peak_gib():.2f} GiB",
            flush=True,
        )


def draw(folder: str, n_events: int, seed: int) -> None:
    """Writes the shop and its law into a folder."""
    from generated_shop import generated_shop

    shop = generated_shop(n_events, seed)
    events, catalogue = shop.events, shop.events.catalogue
    users, items = events.users.ids, catalogue.vocabulary.ids
    path = Path(folder)
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        name: pa.DictionaryArray.from_arrays(pa.array(rows), pa.array(list(ids)))
        for name, rows, ids in (("user_id", events.user, users), ("item_id", events.item, items))
    }
    pq.write_table(pa.table(columns | {"timestamp": events.event_times}), path / "events.parquet")
    catalogue.frame[["item_id"]].to_parquet(path / "items.parquet")
    np.save(path / "text.npy", catalogue.vectors["text"].values)
    law = {name: getattr(shop, name) for name in shop.__dataclass_fields__ if name != "events"}
    np.savez(path / "law.npz", **law)


def measure(folder: str, options: argparse.Namespace, result) -> None:
    """Trains and evaluates on the shop in a folder; puts the figures into the queue `result`."""
    from generated_shop import GeneratedShop, InferredTaste, Oracle

    from tfrec_fusion._compat import keras
    from tfrec_fusion.data import Catalogue, Interactions
    from tfrec_fusion.evaluation import evaluate
    from tfrec_fusion.models import TwoTower
    from tfrec_fusion.models.classic import ItemKNN, RecentPopularity
    from tfrec_fusion.optimizers import adam
    from tfrec_fusion.training import ProgressBar, StepsPerExecution

    path, watch = Path(folder), Watch()
    with watch("read"):
        catalogue = Catalogue.from_parquet(
            path / "items.parquet", vectors={"text": path / "text.npy"}
        )
        events = Interactions.from_parquet(path / "events.parquet", catalogue)
    with watch("split"):
        split = events.split("temporal")
    part = split.validation() if options.validation else split
    keras.utils.set_random_seed(options.seed)
    with watch("examples"):
        batches = part.train.batches(512, seed=options.seed, **OPTIONS[options.examples])
    with watch("model"):
        model = TwoTower(part.train)
        model.compile(adam(3e-3, steps=options.epochs * len(batches)))
    with watch("training"):
        callbacks = [ProgressBar(), StepsPerExecution()]
        model.fit(batches, epochs=options.epochs, verbose=0, callbacks=callbacks)
    figures = {"peak_gib": peak_gib(), "batches": len(batches), "ndcg@10": {}, "interval": {}}

    with np.load(path / "law.npz") as law:
        shop = GeneratedShop(events=events, **law)

    def score(name: str, made) -> None:
        with watch(f"evaluate {name}"):
            report = evaluate(made(), part, users=options.users, bootstrap=200, slices=False)
        figures["ndcg@10"][name] = report.metrics["total"]["ndcg@10"]
        figures["interval"][name] = report.intervals["total"]["ndcg@10"]
        figures["users"] = report.counts["total"]["users"]
        print(f"  {name}: N@10 {figures['ndcg@10'][name]:.4f}", flush=True)

    score("TwoTower", lambda: model)
    score("recent popularity", lambda: RecentPopularity().fit(part.train))
    score("oracle of the test period", lambda: Oracle.of_test_period(shop, part))
    score("oracle of the last training week", lambda: Oracle.of_last_week(shop, part))
    score("true items, taste from the history", lambda: InferredTaste(shop, part))
    from tfrec_fusion.export import export

    with tempfile.TemporaryDirectory() as made, watch("export"):
        version = export(model, events, os.path.join(made, "shop"))
        files = [file for file in Path(version).rglob("*") if file.is_file()]
        figures["export_mib"] = sum(file.stat().st_size for file in files) / 2**20
    print(f"  export: {figures['export_mib']:.0f} MiB", flush=True)
    if not options.no_knn:
        score("item-kNN", lambda: ItemKNN(k=100).fit(part.train))
    result.put(figures | {"seconds": watch.seconds, "processor_seconds": watch.processor_seconds})


def in_process(target, *arguments) -> None:
    """Runs a function in a new process, so that its peak of memory is its own."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"generated: {target.__name__} ended with {process.exitcode}")


def of_size(n_events: int, options: argparse.Namespace) -> dict:
    print(f"{n_events:,} events, {3 * n_events // 100:,} users, {n_events // 100:,} items")
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or made
        folder = os.path.join(folder, str(n_events))
        if not os.path.isfile(os.path.join(folder, "law.npz")):
            os.makedirs(folder, exist_ok=True)
            in_process(draw, folder, n_events, options.seed)
        in_process(measure, folder, options, queue)
    row = {"events": n_events} | queue.get()
    oracle = row["ndcg@10"]["oracle of the test period"]
    total = sum(row["seconds"][name] for name in ("split", "examples", "model", "training"))
    print(f"  training in all: {total:.0f} s, peak {row['peak_gib']:.2f} GiB")
    for name, value in row["ndcg@10"].items():
        low, high = row["interval"][name]
        print(f"  {name:34} N@10 {value:.4f} [{low:.4f}, {high:.4f}], {value / oracle:.2f} oracle")
    return row


def markdown(rows: list[dict]) -> str:
    """The table of the page: one row a size."""
    models = list(rows[0]["ndcg@10"])
    heads = ["events", "batches an epoch", "read, s", "prepare, s", "train, s", "peak, GiB"]
    heads += ["evaluate, s", "export, s", "export, MB", *(f"N@10 {name}" for name in models)]
    lines = ["| " + " | ".join(heads) + " |", "|" + " ---: |" * len(heads)]
    for row in rows:
        took = row["seconds"]
        prepare = took["split"] + took["examples"] + took["model"]
        cells = [f"{row['events']:,}", f"{row['batches']:,}", f"{took['read']:.0f}"]
        cells += [f"{prepare:.0f}", f"{took['training']:.0f}", f"{row['peak_gib']:.1f}"]
        cells += [f"{took['evaluate TwoTower']:.0f}", f"{took['export']:.0f}"]
        cells += [f"{row['export_mib'] * 1.048576:.0f}"]
        cells += [f"{row['ndcg@10'][name]:.3f}".replace("0.", ".") for name in models]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(rows: list[dict], path: Path) -> None:
    """Draws seconds and memory by the number of events, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    time, memory = figure.subplots(1, 2)
    events = [row["events"] for row in rows]
    for name, label in (("read", "read"), ("training", "train"), ("export", "export")):
        time.plot(events, [row["seconds"][name] for row in rows], marker="o", label=label)
    first = rows[0]["seconds"]["training"] / events[0]
    time.plot(events, [first * count for count in events], ":", color="0.5", label="linear")
    memory.plot(events, [row["peak_gib"] for row in rows], marker="o")
    for axes, title in ((time, "seconds"), (memory, "peak memory until trained, GiB")):
        axes.set(xscale="log", yscale="log", xlabel="events", title=title)
    time.legend(frameon=False)
    FigureCanvasAgg(figure).print_png(str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--users", type=int, default=20_000, help="evaluated users")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--examples", choices=sorted(OPTIONS), default="default")
    parser.add_argument(
        "--validation", action="store_true", help="train and evaluate without the test period"
    )
    parser.add_argument("--no-knn", action="store_true", help="leave item-kNN out")
    parser.add_argument("--folder", help="keep the shops here and use those that are there")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", action="store_true", help="write the table into the page")
    options = parser.parse_args()
    rows = [of_size(n_events, options) for n_events in options.events]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.page:
        write_between(PAGE, "generated", markdown(rows))
        plot(rows, PLOT)


if __name__ == "__main__":
    main()
