"""Training and testing the rows of benchmarks/fusion.py, two at a time."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import queue
import sys
import threading
import time
from pathlib import Path

import numpy as np
from fusions.rows import DATA, LARGE_DIM, ROWS, TASKS, TEXT, WORDS, Row, Task
from harness import Worker
from harness import serve as answer_lines

WORKERS = 2
SLICES = ("total", "warm", "cold", "tail")
SCRIPT = Path(__file__).resolve().parents[1] / "fusion.py"


@functools.cache
def splits(data: str, stores: tuple[str, ...]) -> dict:
    """The test split, and the validation split of its training events."""
    from tfrec_fusion.data import Catalogue, Interactions

    task, folder = TASKS[data], DATA / data
    found = {TEXT: folder / "minilm_384.npy", WORDS: words(data) if WORDS in stores else None}
    catalogue = Catalogue.from_parquet(
        folder / "items.parquet", vectors={name: found[name] for name in stores}
    )
    events = Interactions.from_parquet(
        folder / "interactions.parquet", catalogue, min_rating=task.min_rating
    )
    test = events.split(task.split)
    return {"test": test, "validation": test.train.split(task.split, seed=1)}


@functools.cache
def words(data: str):
    """Vectors of the words of the items' texts, of all items as a language model's are."""
    import pandas as pd

    from tfrec_fusion.embeddings import LexicalEncoder

    texts = pd.read_parquet(DATA / data / "items.parquet", columns=["text"])["text"].tolist()
    return LexicalEncoder().fit(texts).encode(texts)


def fit(task: Task, row: str, setting: dict, seed: int, train, tiny: bool):
    """A trained model of a row."""
    from tfrec_fusion._compat import keras
    from tfrec_fusion.models import AlphaRec, TwoTower
    from tfrec_fusion.models.classic import TextMean
    from tfrec_fusion.optimizers import adam

    keras.utils.set_random_seed(seed)
    chosen = ROWS[row]
    if chosen.kind == "text mean":
        return TextMean().fit(train)
    setting = dict(setting)
    rate = setting.pop("learning_rate", None)
    start = spectral(task, chosen, train, setting)
    if chosen.kind == "alpha_rec":
        batches = train.batches(task.pair_batch, examples="pairs", history=1, seed=seed)
        model = AlphaRec(train, **chosen.options, **setting)
        epochs = task.pair_epochs
    else:
        batches, epochs = train.batches(task.batch, examples=task.examples, seed=seed), task.epochs
        options = {"dim": task.dim, **task.options, **chosen.options, **setting}
        if chosen.spectral is not None:
            options["dim"], epochs = task.spectral_dim, task.spectral_epochs
        if chosen.large:
            options["dim"], epochs = LARGE_DIM, task.large_epochs
        model = TwoTower(train, initial=start, **options)
    if rate is not None:
        epochs = 1 if tiny else epochs
        model.compile(adam(rate, steps=epochs * len(batches), warmup_steps=20))
        model.fit(batches, epochs=epochs, verbose=0)
    return model


def spectral(task: Task, row: Row, train, setting: dict):
    """The row's spectral start, whose own settings are taken out of `setting`; None for none."""
    from tfrec_fusion.embeddings import SpectralFusion

    if row.spectral is None:
        return None
    options = {"text_weight": row.spectral, "popularity_power": task.popularity_power}
    for name in ("text_weight", "regularization"):
        if name in setting:
            options[name] = setting.pop(name)
    text = train.catalogue.vectors[row.stores[0]]
    fusion = SpectralFusion(task.spectral_dim, **options)
    return fusion.fit(train.matrix(), text.values, text.mask)


def answer(job: dict) -> dict:
    """Do one job of `table`: train a row and evaluate it."""
    from tfrec_fusion.evaluation import evaluate

    task, stores = TASKS[job["data"]], ROWS[job["row"]].stores
    split = splits(job["data"], stores)[job["phase"]]
    started = time.process_time()
    try:
        model = fit(task, job["row"], job["setting"], job["seed"], split.train, job["tiny"])
        seconds = time.process_time() - started
        report = evaluate(model, split, bootstrap=0)
    except Exception as error:  # a broken row must not take the table with it
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    figures = {"N@10": report.metrics["total"]["ndcg@10"]}
    figures["R@20"] = report.metrics["total"]["recall@20"]
    figures |= {f"{name} N@10": report.metrics[name]["ndcg@10"] for name in SLICES[1:]}
    users = {name: np.round(report.slice_per_user[name]["ndcg@10"], 6).tolist() for name in SLICES}
    return {"figures": figures, "seconds": seconds, "users": users}


def serve() -> None:
    """The other end of a `Runs` worker."""
    answer_lines(answer)


class Runs:
    """Finished runs, kept in a file of one JSON object a line; see `run`."""

    def __init__(self, path: Path | None):
        self.path, self.done, self.lock = path, {}, threading.Lock()
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                # A kill may have cut the last line.
                if line.endswith("}"):
                    run = json.loads(line)
                    self.done[key(run["job"])] = run

    def run(self, jobs: list[dict]) -> None:
        """Do the jobs that are not done, the short ones first, on `WORKERS` processes."""
        todo: queue.SimpleQueue[dict] = queue.SimpleQueue()
        missing = [job for job in jobs if key(job) not in self.done]
        for job in sorted(missing, key=lambda job: ROWS[job["row"]].cost):
            todo.put(job)
        threads = [threading.Thread(target=self._work, args=(todo,)) for _ in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, todo: queue.SimpleQueue) -> None:
        one_thread = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        environment = dict.fromkeys(one_thread, "1") | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        with Worker([sys.executable, str(SCRIPT), "--worker"], environment) as worker:
            while not todo.empty():
                try:
                    job = todo.get_nowait()
                except queue.Empty:
                    return
                self._keep({"job": job, **worker.ask(**job)})

    def _keep(self, run: dict) -> None:
        job = run["job"]
        shown = run.get("error") or "  ".join(
            f"{name} {value:.4f}" for name, value in run["figures"].items()
        )
        took = f"{run['seconds']:.0f} s" if "seconds" in run else "failed"
        with self.lock:
            self.done[key(job)] = run
            if self.path is not None and "error" not in run:
                with open(self.path, "a", encoding="utf-8") as file:
                    file.write(json.dumps(run) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
            setting = " ".join(f"{name}={value:g}" for name, value in job["setting"].items())
            print(
                f"{job['phase']:10} {job['data']:6} {job['row']:28} seed {job['seed']} "
                f"{setting:34} {shown}  ({took})",
                flush=True,
            )

    def of(self, job: dict) -> dict | None:
        """A finished run, without an error."""
        run = self.done.get(key(job))
        return None if run is None or "error" in run else run


def key(job: dict) -> str:
    """What tells jobs apart."""
    return json.dumps(job, sort_keys=True)


def made_of(task: Task, row: Row) -> str:
    """A fingerprint of all that a run depends on beside its setting, so that no cache is stale."""
    parts = [{**vars(task), "settings": (), "more_settings": (), "goals": {}}]
    parts.append((row.options, row.kind, row.spectral, row.large, row.trained, row.stores))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def table(data: str, names: list[str], seeds: int, search: bool, tiny: bool, runs: Runs):
    """Tune and test the rows of one data set; their settings and runs.

    Without a search there is nothing to choose, so the runs on the validation split are the result.
    """
    task = TASKS[data]
    names = [name for name in names if data in ROWS[name].data]

    def trial(name: str, setting: dict) -> dict:
        job = {"data": data, "row": name, "setting": setting, "seed": 0, "phase": "validation"}
        return job | {"of": made_of(task, ROWS[name]), "tiny": tiny}

    settings = {name: ROWS[name].settings(task)[: None if search else 1] for name in names}
    trials = {name: [trial(name, s) for s in settings[name]] for name in names}
    runs.run(list(itertools.chain(*trials.values())))
    rows = []
    for name in names:
        tried = [(run, job) for job in trials[name] if (run := runs.of(job))]
        if not tried:
            continue
        best, job = max(tried, key=lambda pair: pair[0]["figures"]["N@10"])
        count, phase = seeds if ROWS[name].random else 1, "test" if search else "validation"
        tests = [job | {"seed": seed, "phase": phase} for seed in range(count)]
        rows.append({"data": data, "row": name, "setting": job["setting"], "tests": tests})
        rows[-1]["validation"] = best["figures"]
        rows[-1]["tried"] = [
            {"setting": job["setting"], "N@10": run["figures"]["N@10"]} for run, job in tried
        ]
    runs.run(list(itertools.chain(*(row["tests"] for row in rows))))
    for row in rows:
        row["runs"] = [run for job in row.pop("tests") if (run := runs.of(job))]
    return [row for row in rows if row["runs"]]
