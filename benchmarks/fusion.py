"""Compares the fusions of ids and text by slice on three data sets.

    python benchmarks/fusion.py [--data retail books movies] [--rows NAME ...] [--seeds 3]
                                [--quick] [--cache FILE] [--json FILE] [--page] [--readme]

Retail is split by time, books and movies at random. All rows are the same two-tower model with the
same loss, size and number of epochs. The learning rate of each (and the regularisation of ID-only
rows) is chosen by total NDCG@10 on a validation split of the training events. Then each row is
trained on all training events, once per seed, and tested. Two processes of one thread each share
the work. `--cache` saves every finished run, so that a killed benchmark resumes. `--page` writes
docs/results_fusion.md, `--readme` the best rows between the README's markers. The data has its own
README and is read from TFREC_FUSION_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fusions import page, runs
from fusions.rows import DATA, QUICK, ROWS, TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="ROW", help="all by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one seed, no search, fewer rows, on the validation split: under 10 minutes",
    )
    parser.add_argument("--tiny", action="store_true", help="one epoch on movies, as a test")
    parser.add_argument("--cache", type=Path, help="finished runs, one JSON object per line")
    parser.add_argument("--json", type=Path, help="write the claims here, as for benchmarks/run.py")
    parser.add_argument("--page", action="store_true", help="write docs/results_fusion.md")
    parser.add_argument("--readme", action="store_true", help="write the best rows into the README")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        runs.serve()
        return
    short = arguments.quick or arguments.tiny
    if short and (arguments.page or arguments.readme):
        parser.error("--page and --readme need the whole benchmark; leave out --quick or --tiny")
    done = runs.Runs(arguments.cache)
    names = arguments.rows or list(QUICK if short else ROWS)
    rows = []
    for data in ["movies"] if arguments.tiny else arguments.data:
        if not (DATA / data).is_dir():
            print(f"absent: {DATA / data}; set TFREC_FUSION_DATA", file=sys.stderr, flush=True)
            continue
        seeds = 1 if short else arguments.seeds
        rows += runs.table(data, names, seeds, not short, arguments.tiny, done)
    page.show(rows)
    if arguments.json:
        page.write_json(rows, arguments.json)
    if arguments.page:
        page.write_page(rows)
    if arguments.readme:
        page.write_readme(rows)


if __name__ == "__main__":
    main()
