"""Lower-precision exports: size, quality and latency on retail, and top-k speed.

Retail is the UCI Online Retail II data in TFREC_FUSION_DATA, else ../shared/data. The model is that
of `tfrec-fusion train` with its defaults; the figures are those of the export's parity report. The
top-k is that of the served graph, over random vectors; "cast at once" is the simple alternative,
which casts all vectors to float32 for each request.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import ROOT, Claim, Options, interleave, main, p50

from tfrec_fusion._compat import tf
from tfrec_fusion.export import ParityLimits, ParityReport, export, refresh
from tfrec_fusion.retrieval import exact_top_k
from tfrec_fusion.retrieval.stored_items import PRECISIONS, StoredItems
from tfrec_fusion.training import Run, RunConfig

DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data") / "retail"
DIM, K = 64, 100


def claims(options: Options):
    if DATA.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            yield from _retail(options, Path(folder))
    else:
        print(f"absent: {DATA}; set TFREC_FUSION_DATA", file=sys.stderr, flush=True)
    for n_items in options.size((100_000, 1_000_000), (100_000, 1_000_000), (20_000,)):
        yield from _top_k(options, n_items)


def _retail(options: Options, folder: Path):
    data = {
        "interactions": str(DATA / "interactions.parquet"),
        "items": str(DATA / "items.parquet"),
        "vectors": {"text": str(DATA / "minilm_384.npy")},
    }
    epochs = {"epochs": 0} if options.tiny else {}
    run = Run.start(folder / "run", RunConfig.of({"data": data} | epochs))
    started = time.perf_counter()
    run.train()
    trained = time.perf_counter() - started
    model, split = run.model(), run.split
    limits = ParityLimits(overlap_10=0, overlap_100=0, ndcg_loss=1)
    goals = {"int8": (0.35, 0.01, 0.97), "float16": (None,) * 3, "bfloat16": (None, 0.002, None)}
    sizes = {"float32": _size(export(model, split.train, folder / "float32"))}
    for precision, (most_bytes, most_lost, overlap) in goals.items():
        version = export(
            model,
            split.train,
            folder / precision,
            precision=precision,
            limits=limits,
            held_out=split,
        )
        report, sizes[precision] = ParityReport.load(version / "parity.json"), _size(version)
        before, after = report.ndcg_10["float32"], report.ndcg_10["smaller"]
        yield Claim(
            f"retail, {precision}: bytes of a version",
            "float32",
            sizes[precision] / sizes["float32"],
            most_bytes,
            "lower",
            detail=f"{sizes[precision]:,} and {sizes['float32']:,} bytes",
        )
        yield Claim(
            f"retail, {precision}: share of N@10 that changes",
            "float32",
            abs(report.ndcg_loss),
            most_lost,
            "lower",
            detail=f"{after:.5f} and {before:.5f}, {report.ndcg_10['users']} users",
        )
        yield Claim(
            f"retail, {precision}: overlap of the first 10",
            "float32",
            report.overlap["10"],
            overlap,
            detail=f"of the first 100 {report.overlap['100']:.4f}",
        )
    started = time.perf_counter()
    newer = run.events(DATA / "interactions.parquet")
    version = refresh(model, newer, folder / "float32")
    took = time.perf_counter() - started
    yield Claim(
        "retail: a refresh with all events in the place of a training",
        "training alone",
        trained / took,
        None,
        detail=f"{took:.1f} s and {trained:.1f} s",
    )


def _top_k(options: Options, n_items: int):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n_items, DIM), dtype=np.float32)
    stored = {name: StoredItems(vectors, name) for name in PRECISIONS}
    del vectors
    asked = {
        name: tf.function(
            lambda queries, items=items: items.best(queries, K, None)[1], autograph=False
        )
        for name, items in stored.items()
    }

    def cast(queries):
        items = stored["int8"]
        whole = tf.cast(items.vectors, tf.float32) * items.scale[:, None]
        return exact_top_k(queries, whole, K)[1]

    asked["int8, cast at once"] = tf.function(cast, autograph=False)
    for batch in (1, 64):
        queries = tf.constant(rng.standard_normal((batch, DIM), dtype=np.float32))
        repeat = options.size(*((15, 5, 1) if batch > 1 else (60, 20, 2)))
        timings = interleave(
            {
                name: p50(lambda f=f, queries=queries: f(queries).numpy(), repeat)
                for name, f in asked.items()
            },
            options.rounds,
        )
        for name in list(asked)[1:]:
            what = f"top-{K} of {n_items:,} x {DIM} in {name}, batch {batch}"
            yield Claim.of(what, "float32", timings, name, "float32", goal=None, better="lower")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main(claims, __doc__)
