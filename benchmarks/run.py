"""Runs the claim scripts one after another and writes their measurements to RESULTS.md.

A claim script is a file in this folder that imports `harness`. Each runs in its own process, alone
on the machine. RESULTS.md has a section per script; `--only` rewrites only one section. The exit
status is 1 if a script fails to run; whether claims hold is in the rows.

    python benchmarks/run.py [--only NAME] [--quick] [--json FILE] [--readme]

`--readme` writes the headlines of RESULTS.md into the README.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import ROOT, add_options, replace_file
from markers import write_between

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "RESULTS.md"
HEADER = """# Benchmark results

Written by `python benchmarks/run.py`. Each ratio is of medians over interleaved rounds in one run;
in brackets are the smallest and largest ratio of a round. 2 under "at least" is twice as fast as
the peer, under "at most" twice as long.
"""
# Rows of the README: (script, start of the claim, start of the peer)
HEADLINES = (
    ("training", "training", "TFRS tutorial, Adagrad"),
    ("training", "training", "TFRS at its best, Adagrad"),
    ("training", "training", "TFRS tutorial, Adam"),
    ("training", "training", "keras-rs, SGD"),
    ("training", "training", "PyTorch, SparseAdam"),
    ("frozen", "a step on frozen text", "a join of each example"),
    ("input", "block-window", "from_tensor_slices"),
    ("evaluation", "full evaluation with all slices, 1M", "TFRS FactorizedTopK with its defaults"),
    ("evaluation", "full evaluation with all slices, 1M", "TFRS FactorizedTopK with BruteForce"),
    ("top_k", "exact top-100 of 1,000,000 x 64, batch 64", "TFRS BruteForce"),
)


def scripts() -> list[str]:
    """Sorted names of the claim scripts."""
    return sorted(
        path.stem
        for path in FOLDER.glob("*.py")
        if path.stem not in ("harness", "run")
        and re.search(r"^(from harness import|import harness)", path.read_text(), re.MULTILINE)
    )


def run(name: str, arguments: argparse.Namespace) -> tuple[list[dict], str | None]:
    """Runs one script; returns its rows and its error, if any."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        command = [sys.executable, str(FOLDER / f"{name}.py"), "--json", str(rows)]
        command += ["--peer-python", arguments.peer_python]
        command += [f"--{flag}" for flag in ("quick", "tiny") if getattr(arguments, flag)]
        if arguments.rounds:
            command += ["--rounds", str(arguments.rounds)]
        status = subprocess.run(command).returncode
        if status or not rows.is_file():
            return [], f"{name}.py ended with status {status} and left no rows"
        return json.loads(rows.read_text()), None


def section(rows: list[dict], error: str | None, took: float, arguments) -> str:
    """A script's part of RESULTS.md."""
    kind = "tiny, its ratios mean nothing" if arguments.tiny else "quick" if arguments.quick else ""
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    lines = [f"{when}, {took:.0f} s{f', {kind}' if kind else ''}", ""]
    if error:
        return "\n".join([*lines, f"**{error}**"])
    if not rows:
        return "\n".join([*lines, "No claim could be measured here."])
    lines += ["| claim | peer | ratio | goal | holds | rounds | measured |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        sign = "at least" if row["better"] == "higher" else "at most"
        spread = "" if row["low"] is None else f" [{row['low']:.3g} - {row['high']:.3g}]"
        cells = [
            row["claim"],
            row["peer"],
            f"{row['ratio']:.3g}{spread}",
            "" if row["goal"] is None else f"{sign} {row['goal']:g}",
            {True: "yes", False: "**no**", None: ""}[row["holds"]],
            str(row["rounds"]),
            row["detail"],
        ]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    machine = rows[-1]["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    load = max(row["machine"]["load_average"][0] for row in rows)
    peak = max(row["machine"]["peak_mb"] for row in rows)
    return "\n".join(
        [
            *lines,
            "",
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GiB; load average "
            f"up to {load}; peak memory {peak:,} MB; Python {machine['python']}, {versions}.",
        ]
    )


def read_results() -> dict[str, str]:
    """The sections of RESULTS.md by script."""
    if not RESULTS.is_file():
        return {}
    parts = re.split(r"^## (.+)\n\n", RESULTS.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def headlines(sections: dict[str, str]) -> str:
    """The README's table."""
    lines = ["| what | against | times as fast |", "| --- | --- | ---: |"]
    for script, claim, peer in HEADLINES:
        rows = [line[2:-2].split(" | ") for line in sections.get(script, "").splitlines()]
        found = [row for row in rows if row[0].startswith(claim) and row[1].startswith(peer)]
        if found:
            lines.append(f"| {found[0][0]} | {found[0][1]} | {found[0][2].split(' [')[0]} |")
    return "\n".join(lines)


def write_results(renewed: dict[str, str], known: list[str]) -> None:
    """Writes RESULTS.md with the renewed sections; keeps the others of existing scripts."""
    sections = read_results() | renewed
    body = "".join(f"\n## {name}\n\n{sections[name]}\n" for name in known if name in sections)
    replace_file(RESULTS, HEADER + body)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_options(parser)
    parser.add_argument("--readme", action="store_true", help="write the headlines into the README")
    parser.add_argument("--only", metavar="NAME", help="run one script; its name without .py")
    arguments = parser.parse_args()
    known = scripts()
    if arguments.only and arguments.only not in known:
        parser.error(f"--only must be one of {', '.join(known)}. Received: {arguments.only}")
    rows, failed, renewed = [], [], {}
    for name in [arguments.only] if arguments.only else known:
        print(f"== {name}", flush=True)
        started = time.perf_counter()
        found, error = run(name, arguments)
        renewed[name] = section(found, error, time.perf_counter() - started, arguments)
        rows += found
        failed += [error] if error else []
    if arguments.json:
        replace_file(arguments.json, json.dumps(rows, indent=1) + "\n")
    if not arguments.tiny:
        write_results(renewed, known)
    if arguments.readme:
        write_between(ROOT / "README.md", "speed", headlines(read_results()))
    missed = [row["claim"] for row in rows if row["holds"] is False]
    print(f"{len(rows)} rows, {len(missed)} claims do not hold, {len(failed)} scripts failed")
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
