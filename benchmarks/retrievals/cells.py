"""The worker of benchmarks/retrieval.py: does one job in a process of its own.

A job is a mapping with its `phase`:

- "words": writes the vectors of the items' words.
- "choose": fits each setting on the training events of `split.validation()`, until there is no time
  for another one, and measures it on the validation events.
- "test": fits one setting on all training events and measures it on the test events.

While a model is chosen and fitted it cannot see test events: there are none in its split.
"""

from __future__ import annotations

import copy
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import machine, peak_mb
from retrievals.data import TASKS, read_task, texts
from retrievals.peers import fitted_peer

import tfrec_fusion as tff
from tfrec_fusion.embeddings import LexicalEncoder
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.training import RunConfig, choose_blend, choose_stack
from tfrec_fusion.training.recipes import trained_model

COLUMNS = {
    "NDCG@10": ("total", "ndcg@10"),
    "Recall@20": ("total", "recall@20"),
    "warm NDCG@10": ("warm", "ndcg@10"),
    "cold NDCG@10": ("cold", "ndcg@10"),
    "tail NDCG@10": ("tail", "ndcg@10"),
    "coverage@10": ("total", "coverage@10"),
}
PUBLISHED = ("recall@10", "ndcg@10", "recall@50", "ndcg@50")
_OWN_SEED = ("ials", "light_gcn", "spectral")


@dataclass(frozen=True)
class Fitted:
    """A fitted model, what it took, and what it chose by itself."""

    model: Any
    seconds: float
    peak_mb: float
    note: str = ""


def unseen(split):
    """The split without its test events."""
    return replace(split, test=split.train.select(np.zeros(len(split.train), bool)))


def run_model(setting: Mapping, kind: str, train, seed: int) -> Any:
    """Trains a model of a run's keys as a run does."""
    values = copy.deepcopy(dict(setting))
    if values["model"]["kind"] in _OWN_SEED:
        values["model"]["seed"] = seed
    values |= {"data": {"interactions": "", "items": ""}, "split": {"kind": kind}}
    config = RunConfig.of(values | {"seed": seed}, "retrieval")
    return trained_model(config.resolved(train), train)


def _run(setting, split, seed):
    return run_model(setting, split.kind, split.train, seed), ""


def _auto(setting, split, seed):
    found = tff.auto(split, seed=seed, progress=False, **setting)
    return found.model, found.name


def _members(setting, split, seed) -> dict[str, Callable]:
    def factory(one):
        return lambda train: run_model(one, split.kind, train, seed)

    return {name: factory(one) for name, one in setting["members"].items()}


def _blend(setting, split, seed):
    choice = choose_blend(_members(setting, split, seed), split, seed=seed)
    weights = choice.options.get("weights", dict.fromkeys(choice.factories, 1.0))
    note = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
    return choice.fit(split.train), f"{choice.options.get('how', 'alone')}: {note}"


def _stack(setting, split, seed):
    members = _members(setting, split, seed)
    choice = choose_stack(
        members,
        split,
        folds=setting["folds"],
        seed=seed,
        progress=False,
        cold="two_tower" if "two_tower" in members else None,
    )
    note = "better" if choice.better else "not better"
    # It is measured in any case.
    return choice.fit_stack(split.train), f"{note} than {choice.best} on validation"


FITS: dict[str, Callable] = {"run": _run, "auto": _auto, "blend": _blend, "stack": _stack}


def fitted(
    fit: str, setting: Mapping, split, seed: int, peer_python: str | None, past=None
) -> Fitted:
    """Fits a setting on the training events of a split, whose test events it does not see.

    Args:
      past: the events of the histories that are scored, which peers need; by default those of
        training.
    """
    split = unseen(split)
    if fit == "peer":
        python = peer_python or sys.executable
        return Fitted(*fitted_peer(dict(setting), split.train, seed, python, past))
    started = time.perf_counter()
    model, note = FITS[fit](setting, split, seed)
    return Fitted(model, time.perf_counter() - started, peak_mb(), note)


def choose(job: Mapping, split, peer_python: str | None = None) -> dict:
    """NDCG@10 of the settings on the validation events, and the best setting."""
    part, tried = split.validation(), []
    began = time.perf_counter()
    for setting in job["settings"]:
        started = time.perf_counter()
        longest = max((one["seconds"] for one in tried), default=0.0)
        if tried and started - began + longest > job["budget"]:
            break
        model = fitted(job["fit"], setting, part, job["seed"], peer_python).model
        report = evaluate(model, part, k=(10,), slices=False, bootstrap=0, progress=False)
        tried.append({"setting": setting, "NDCG@10": report.metrics["total"]["ndcg@10"]})
        tried[-1]["seconds"] = time.perf_counter() - started
    best = max(tried, key=lambda one: one["NDCG@10"])
    return {"setting": best["setting"], "NDCG@10": best["NDCG@10"], "tried": tried}


def test(job: Mapping, split, peer_python: str | None = None) -> tuple[dict, dict]:
    """Figures of one setting on the test events, and the arrays of its users."""
    base = split.validation() if TASKS[job["data"]].without_valid else split
    found = fitted(job["fit"], job["setting"], base, job["seed"], peer_python, split.train)
    options: dict = {"bootstrap": 0, "progress": False, "k": (10, 20, 50)}
    report = evaluate(found.model, split, **options)
    figures = {name: report.metrics[part][metric] for name, (part, metric) in COLUMNS.items()}
    result: dict = {"figures": figures, "seconds": found.seconds, "peak_mb": found.peak_mb}
    result |= {"note": found.note, "machine": machine()}
    if TASKS[job["data"]].ordered:
        result["published"] = {metric: report.metrics["total"][metric] for metric in PUBLISHED}
        if split.repeats == "first":
            both = evaluate(found.model, split, **options, slices=False, mask_history=False)
            plain = {
                f"{metric}, history ranked": both.metrics["total"][metric] for metric in PUBLISHED
            }
            result["published"] |= plain
    return result, {"users": report.users, "ndcg@10": report.per_user["ndcg@10"]}


def write_words(job: Mapping, path: Path, wheel: Path | None) -> None:
    """Writes the vectors of the words of a data set's items."""
    found = texts(job["data"], wheel)
    _replace(path, lambda file: np.save(file, LexicalEncoder().fit(found).encode(found)))


def work(message: Mapping) -> None:
    """Does a job and writes its result: the arrays first, then the JSON, which tells it is done.

    Args:
      message: the `job`, the `path` of its result without a suffix, the files `words` and `wheel`
        and the `peer_python`, each None if there is none.
    """
    job, path = message["job"], Path(message["path"])
    words, wheel = (Path(message[key]) if message[key] else None for key in ("words", "wheel"))
    if job["phase"] == "words":
        write_words(job, path.with_suffix(".npy"), wheel)
        return
    split = read_task(job["data"], job["stores"], words, wheel)
    if job["phase"] == "choose":
        result = choose(job, split, message["peer_python"])
    else:
        result, arrays = test(job, split, message["peer_python"])
        _replace(path.with_suffix(".npz"), lambda file: np.savez_compressed(file, **arrays))
    text = json.dumps({"job": job, **_without_nan(result)}, indent=1) + "\n"
    _replace(path.with_suffix(".json"), lambda file: file.write(text.encode()))


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _replace(path: Path, write: Callable) -> None:
    """Writes a file atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
