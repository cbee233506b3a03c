"""Quality of rankers on real data: every backbone and the peers, on the very same rows.

    python benchmarks/ranking.py [--data NAME ...] [--rows NAME ...] [--seeds 3] [--quick]
                                 [--wheel W] [--peer-python PYTHON] [--folder F] [--json F] [--page]

All rankers train on the same rows, epoch by epoch, and score the same test pairs. Each has a few
settings; the one with the best GAUC on a validation split of the training events is fitted on all
of them, once per seed, and tested. Each result is kept in `--folder`, so that a stopped run goes on
where it was. `--page` writes the tables into docs/ranking.md.

Peers get what ours computes by itself as numbers: those of the items, the size and the age of the
history, how well the item's text matches it, and the mean labels of users and items. The text is 64
whitened components for them. They run in the environment of PYTHON, with the packages of
requirements-peers-ranker.txt; FUXICTR in the environment names a checkout of FuxiCTR. The data has
its own README and is read from TFREC_FUSION_DATA, else ../shared/data; ml-100k comes with RecBole's
wheel (`pip download --no-deps recbole==1.2.1`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from harness import ROOT, machine, replace_file
from markers import write_between
from rankings.data import TASKS, Rows, described, split_of, tables, tested
from rankings.figures import best_of, figures, gained, markdown
from rankings.models import ROWS, fitted, peer_fitted, write_rows

PHASES = ("valid", "test")


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark on a data set.

    Attributes:
      data: its name.
      folder: of the results.
      wheel: of RecBole; None without.
      python: interpreter of the peers; None leaves them out.
    """

    data: str
    folder: Path
    wheel: Path | None
    python: str | None

    @cache  # noqa: B019
    def split(self, phase: str):
        split = split_of(self.data, self.wheel)
        return split if phase == "test" else split.validation()

    @cache  # noqa: B019
    def pairs(self, phase: str) -> dict[str, np.ndarray]:
        """The tested pairs: users, items, labels, and the training events of the items."""
        task, split = TASKS[self.data], self.split(phase)
        rows = Rows(tested(task, split)).columns
        events = tables(task, split)["item_events"][rows["item"]]
        return {name: rows[name] for name in ("user", "item", "label")} | {"events": events}

    def rows_of(self, phase: str) -> Path:
        """The folder of the peers' rows."""
        folder = self.folder / f"rows_{self.data}_{phase}"
        if not (folder / "test.npz").is_file():
            write_rows(TASKS[self.data], self.split(phase), folder)
        return folder

    def cell(self, name: str, phase: str, setting: Mapping, seed: int) -> dict:
        """Figures of one training, of the folder or new; its scores are in the file `scores`."""
        key = json.dumps([self.data, name, phase, setting, seed], sort_keys=True)
        title = re.sub(r"[^A-Za-z0-9]+", "_", f"{self.data} {name} {phase} {seed}")
        path = self.folder / f"{title}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
        task, row = TASKS[self.data], ROWS[name]
        if row.peer is None or self.python is None:
            scores, seconds, count = fitted(task, self.split(phase), setting, seed)
        else:
            found = peer_fitted(self.python, task, row, self.rows_of(phase), setting, seed)
            scores, seconds, count = found
            scores = np.log(np.clip(scores, 1e-12, 1)) - np.log(np.clip(1 - scores, 1e-12, 1))
        result = figures(self.pairs(phase), scores)
        result |= {"seconds": seconds, "rows a second": count / seconds}
        result |= {"scores": path.with_suffix(".npy").name}
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
            np.save(file, scores.astype(np.float32))
        os.replace(file.name, path.with_suffix(".npy"))
        replace_file(path, json.dumps(result))
        print(
            f"{self.data:8} {name:26} {phase} seed {seed}  GAUC {result['GAUC']:.4f}  "
            f"AUC {result['AUC']:.4f}  log loss {result['log loss']:.4f}  ({seconds:.0f} s)",
            flush=True,
        )
        return result

    def row(self, name: str, seeds: int, quick: bool) -> dict | None:
        """A row of the table; None for a peer without its interpreter, or that fails."""
        row = ROWS[name]
        if row.peer is not None and self.python is None:
            return None
        settings = row.settings(TASKS[self.data])[: 1 if quick else None]
        try:
            tried = [self.cell(name, "valid", setting, 0)["GAUC"] for setting in settings]
            chosen = settings[int(np.argmax(tried))]
            runs = [self.cell(name, "test", chosen, seed) for seed in range(seeds)]
        except RuntimeError as error:
            print(f"failed: {self.data}, {name}: {error}", file=sys.stderr, flush=True)
            return None
        scores = [np.load(self.folder / run["scores"]) for run in runs]
        return {
            "data": self.data,
            "model": name,
            "valid": max(tried),
            "setting": chosen,
            "runs": runs,
            "scores": scores,
        }


def parsed(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--data", nargs="+", choices=TASKS, metavar="NAME", help="all by default")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", help="all by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one seed and setting")
    parser.add_argument("--folder", type=Path, default=Path("runs") / "ranking")
    parser.add_argument("--wheel", type=Path, help="RecBole's wheel, for ml-100k")
    parser.add_argument("--peer-python", metavar="PYTHON", help="interpreter of the peers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--page", action="store_true", help="write the tables of docs/ranking.md")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = parsed(argv)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    found = []
    for data in arguments.data or TASKS:
        if data == "ml-100k" and arguments.wheel is None:
            print("ml-100k is left out: pass --wheel", file=sys.stderr)
            continue
        bench = Bench(data, arguments.folder, arguments.wheel, arguments.peer_python)
        seeds = 1 if arguments.quick else arguments.seeds
        names = [name for name in ROWS if name in (arguments.rows or ROWS)]
        rows = [row for name in names if (row := bench.row(name, seeds, arguments.quick))]
        pairs = bench.pairs("test")
        body = "\n\n".join(
            [
                f"{TASKS[data].protocol} {described(pairs)}; {seeds} seed(s).",
                markdown(rows),
                *gained(rows, pairs, {name for name in ROWS if ROWS[name].peer}),
            ]
        )
        print(f"\n{data}\n\n{body}\n", flush=True)
        if arguments.page:
            write_between(ROOT / "docs" / "ranking.md", data, body)
        found += [{key: row[key] for key in row if key != "scores"} for row in rows]
    if arguments.json:
        report = {"machine": machine(), "best": best_of(found), "rows": found}
        replace_file(arguments.json, json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
