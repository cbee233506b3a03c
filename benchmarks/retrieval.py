"""Quality of the retrieval models on real data, every model on every data set.

    python benchmarks/retrieval.py [--data NAME ...] [--rows NAME ...] [--seeds 3] [--quick]
                                   [--folder F] [--wheel W] [--peer-python PYTHON] [--json F]
                                   [--page] [--readme]

Each row has a few settings. They are measured on a validation split of the training events, until
there is no time for another one; the best one is fitted on all training events, once per seed, and
tested. Each cell is done by a process of its own and kept in `--folder`, so that a stopped run goes
on where it was. `--page` writes docs/results.md, `--readme` the README's table. The data has its
own README and is read from TFREC_FUSION_DATA, else ../shared/data; ml-100k comes with RecBole's
wheel (`pip download --no-deps recbole==1.2.1`). Peers run in the environment of PYTHON, with the
packages of requirements-peers-classic.txt.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from retrievals.data import TASKS

QUICK = ("retail", "movies")


def parsed(argv: list[str] | None = None) -> argparse.Namespace:
    from retrievals.rows import ROWS

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", choices=TASKS, metavar="NAME", help="all by default")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", help="all by default")
    parser.add_argument("--seeds", type=int, default=3, help="of seeded rows; 5 of the headlines")
    parser.add_argument("--quick", action="store_true", help="one seed and setting, two data sets")
    parser.add_argument("--folder", type=Path, default=Path("runs") / "retrieval")
    parser.add_argument("--seconds", type=float, default=180.0, help="to choose a row's setting")
    parser.add_argument("--auto-budget", help="time budget of auto (15m; 2m when quick)")
    parser.add_argument("--wheel", type=Path, help="RecBole's wheel, for ml-100k")
    parser.add_argument("--peer-python", metavar="PYTHON", help="interpreter of the peers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here")
    parser.add_argument("--page", action="store_true", help="write docs/results.md")
    parser.add_argument("--readme", action="store_true", help="write the README's table")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.quick and (arguments.page or arguments.readme):
        parser.error("--page and --readme need the whole benchmark; leave out --quick")
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parsed(argv)
    if arguments.worker:
        from retrievals.cells import work

        work(json.load(sys.stdin))
        return 0
    from retrievals import page, tables
    from retrievals.rows import ROWS
    from retrievals.runs import Options, Runs

    quick = arguments.quick
    runs = Runs(
        Options(
            folder=arguments.folder,
            seeds=1 if quick else arguments.seeds,
            seconds=arguments.seconds,
            auto_budget=arguments.auto_budget or ("2m" if quick else "15m"),
            quick=quick,
            wheel=arguments.wheel,
            peer_python=arguments.peer_python,
        )
    )
    rows = []
    for data in arguments.data or (QUICK if quick else TASKS):
        found = tables.compared(
            runs.table(data, [name for name in ROWS if name in (arguments.rows or ROWS)])
        )
        rows += found
        if found:
            print(f"\n{data}\n\n{tables.markdown(found)}\n", flush=True)
    if arguments.json:
        page.write_json(rows, arguments.json)
    if arguments.page:
        page.write_page(rows)
    if arguments.readme:
        page.write_readme(rows)
    if runs.failed:
        print(f"failed cells: {len(runs.failed)}", *runs.failed, sep="\n", file=sys.stderr)
    return 1 if runs.failed else 0


if __name__ == "__main__":
    sys.exit(main())
