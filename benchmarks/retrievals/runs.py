"""Chooses and tests the rows of benchmarks/retrieval.py, each job in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ROOT
from retrievals.data import TASKS, WORDS, absent, fingerprint
from retrievals.rows import CLASSIC, MOST_SETTINGS, PEER, ROWS, Row, stores_of

import tfrec_fusion as tff

SCRIPT = ROOT / "benchmarks" / "retrieval.py"
_SHOWN = ("NDCG@10", "Recall@20", "cold NDCG@10")


@dataclass(frozen=True)
class Options:
    """What holds for all cells.

    Attributes:
      folder: of the results, which a later run goes on with.
      seeds: of seeded rows.
      seconds: for choosing a setting; no other one is begun after them.
      auto_budget: of `tff.auto`.
      quick: one setting a row, short folds.
      wheel: of RecBole; None leaves "ml-100k" out.
      peer_python: interpreter of the peers; None leaves them out.
    """

    folder: Path
    seeds: int = 3
    seconds: float = 180.0
    auto_budget: str = "15m"
    quick: bool = False
    wheel: Path | None = None
    peer_python: str | None = None


class Runs:
    """Finished jobs in a folder, one JSON file each."""

    def __init__(self, options: Options):
        self.options = options
        self.failed: list[str] = []
        self._words: dict[str, Path | None] = {}
        options.folder.mkdir(parents=True, exist_ok=True)

    def path(self, job: Mapping) -> Path:
        """Where the result of a job is, without a suffix."""
        key = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:12]
        name = f"{job['data']} {job.get('row', '')} {job['phase']} {job.get('seed', '')}"
        return self.options.folder / f"{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_')}-{key}"

    def result(self, job: Mapping) -> dict | None:
        """The result of a job, of the folder or of a new process; None if it fails."""
        path = self.path(job)
        if not path.with_suffix(".json").is_file():
            words = self.words(job["data"]) if WORDS in job["stores"] else None
            error = self.work(job, path, words)
            if error:
                return self._fail(job, error)
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))

    def words(self, data: str) -> Path | None:
        """The file of the vectors of a data set's words; None if it cannot be made."""
        # Variants of a data set have the same items.
        data = data.partition(",")[0]
        job = {"phase": "words", "data": data, **self._about(data)}
        path = self.path(job)
        if not path.with_suffix(".npy").is_file():
            error = self.work(job, path, None)
            if error:
                self._fail(job, error)
                return None
        return path.with_suffix(".npy")

    def work(self, job: Mapping, path: Path, words: Path | None) -> str | None:
        """Does a job in a process of its own; returns the error, in one line."""
        message = {"job": job, "path": str(path.resolve()), "words": words and str(words.resolve())}
        options = self.options
        message |= {"wheel": options.wheel and str(options.wheel.resolve())}
        message |= {"peer_python": options.peer_python}
        command = [sys.executable, str(SCRIPT), "--worker"]
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
        with tempfile.TemporaryFile("w+") as errors:
            status = subprocess.run(
                command, input=json.dumps(message), text=True, stderr=errors, env=environment
            ).returncode
            errors.seek(0)
            lines = errors.read().strip().splitlines()
        if not status:
            return None
        last = lines[-1] if status > 0 and lines else f"its process ended with status {status}"
        return last[:300]

    def _fail(self, job: Mapping, error: str) -> None:
        line = f"failed: {job['data']}, {job.get('row', 'words')}, {job['phase']}"
        line += f", seed {job['seed']}: {error}" if "seed" in job else f": {error}"
        self.failed.append(line)
        print(line, flush=True)

    def _about(self, data: str) -> dict:
        """What a result depends on beside the row."""
        files = fingerprint(data, self.options.wheel)
        return {"files": files, "version": tff.__version__}

    def chosen(self, data: str, name: str) -> dict | None:
        """The best setting of a row on validation, with what was tried; None if it fails."""
        row = ROWS[name]
        settings = row.settings_for(data)[: 1 if self.options.quick else MOST_SETTINGS]
        if row.fit not in ("run", "peer"):
            setting = self._composed(data, row)
            return None if setting is None else {"setting": setting, "tried": [setting]}
        if len(settings) == 1 and row.group != CLASSIC:
            return {"setting": settings[0], "tried": settings}
        job = {"phase": "choose", "data": data, "row": name, "fit": row.fit, "seed": 0}
        job |= {"settings": settings, "budget": self.options.seconds}
        job |= {"stores": stores_of(*settings), **self._about(data)}
        new = not self.path(job).with_suffix(".json").is_file()
        found = self.result(job)
        if found and new:
            print(
                f"{data:12} {name:32} chose of {len(found['tried'])} settings: "
                f"NDCG@10 {found['NDCG@10']:.4f} on validation, {described(found['setting'])}",
                flush=True,
            )
        return found

    def _composed(self, data: str, row: Row) -> dict | None:
        if row.fit == "auto":
            return {"time_budget": self.options.auto_budget}
        members = {}
        for name, of in row.members_for(data).items():
            found = self.chosen(data, of)
            if found is None:
                return None
            members[name] = found["setting"]
        folds = {} if row.fit == "blend" else {"folds": 2 if self.options.quick else 4}
        return {"members": members, **folds}

    def tested(self, data: str, name: str, setting: dict, seed: int) -> dict | None:
        """The result of a setting on the test events; None if it fails."""
        row = ROWS[name]
        stores = list(TASKS[data].stores) if row.fit == "auto" else stores_of(setting)
        job = {"phase": "test", "data": data, "row": name, "fit": row.fit, "seed": seed}
        job |= {"setting": setting, "stores": stores, **self._about(data)}
        found = self.result(job)
        if found is not None:
            found["users"] = str(self.path(job).with_suffix(".npz"))
            print(line_of(found), flush=True)
        return found

    def table(self, data: str, names: list[str]) -> list[dict]:
        """Chooses and tests the rows of one data set; those that fail are left out."""
        problem = absent(data, self.options.wheel)
        if problem:
            print(f"left out: {data}: {problem}", flush=True)
            return []
        rows = []
        for name in names:
            row = ROWS[name]
            if not row.fits(data):
                continue
            if row.group == PEER and self.options.peer_python is None:
                print(f"left out: {data}, {name}: pass --peer-python", flush=True)
                continue
            choice = self.chosen(data, name)
            if choice is None:
                continue
            found: list[Any] = [
                self.tested(data, name, choice["setting"], seed)
                for seed in row.seeds_for(data, self.options.seeds)
            ]
            rows.append({"data": data, "row": name, "group": row.group, **choice})
            rows[-1] = {key: rows[-1].get(key) for key in KEYS}
            rows[-1]["runs"] = [one for one in found if one is not None]
        return [row for row in rows if row["runs"]]


KEYS = ("data", "row", "group", "setting", "NDCG@10", "tried")


def described(setting: Mapping) -> str:
    """A setting in words, e.g. "ease, l2 200"."""
    parts = []
    for key, value in setting.items():
        if isinstance(value, Mapping):
            parts.append(
                described(value) if key in ("model", "peer") else f"{key} ({described(value)})"
            )
        elif key in ("kind", "model"):
            parts.append(str(value))
        elif value is not None:
            shown = " + ".join(value) or "none" if isinstance(value, list) else value
            parts.append(f"{key} {shown}")
    return ", ".join(parts)


def line_of(run: Mapping) -> str:
    """The line that tells of a tested cell."""
    job, figures = run["job"], run["figures"]
    shown = "  ".join(f"{n} {figures[n]:.4f}" for n in _SHOWN if figures[n] is not None)
    took = f"{run['seconds']:.1f} s, {run['peak_mb']:.0f} MB"
    note = f"; {run['note']}" if run["note"] else ""
    return f"{job['data']:12} {job['row']:32} seed {job['seed']}  {shown}  ({took}){note}"
