"""Shared by all benchmarks: interleaved rounds, claims, machine info, peers in other processes.

A claim script yields claims about contenders, which it times in the same run:

    from harness import Claim, Options, interleave, main, seconds

    def claims(options: Options):
        timings = interleave({"ours": seconds(ours), "peer": seconds(peer)}, options.rounds)
        yield Claim.of("top-100 of 1M x 64", "TFRS BruteForce", timings, "ours", "peer", goal=1.7)

    if __name__ == "__main__":
        main(claims)

This file imports only the standard library, so that a peer's own interpreter can import it too.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # the package is not installed
    sys.path.append(str(ROOT))

_PACKAGES = (
    "numpy",
    "tensorflow",
    "tensorflow-cpu",
    "tf_keras",
    "tensorflow-recommenders",
    "keras",
    "keras-rs",
    "torch",
    "faiss-cpu",
    "pyarrow",
)


@dataclass(frozen=True)
class Timing:
    """Measurements of one contender, one per round, in the contender's unit."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def divided_by(self, count: float) -> Timing:
        """The measurements divided by `count`, e.g. steps, rows or users."""
        return Timing(tuple(value / count for value in self.values))


@dataclass(frozen=True)
class Options:
    """Command-line options of a claim script.

    Attributes:
      rounds: interleaved rounds per comparison.
      quick: fewer rows and rounds, with all claims.
      tiny: smallest sizes, to test that the script runs; the ratios are meaningless.
      peer_python: interpreter for peers that need a process of their own.
    """

    rounds: int
    quick: bool
    tiny: bool
    peer_python: str

    def size(self, full, quick, tiny):
        """One of three sizes, by the options."""
        return tiny if self.tiny else quick if self.quick else full


@dataclass(frozen=True)
class Claim:
    """One line of the results.

    Attributes:
      claim: text of the claim, with its sizes.
      peer: what it is compared with.
      ratio: median ratio over the rounds.
      goal: what the ratio must reach; None if it is only reported.
      better: "higher" if the ratio must be at least the goal, "lower" if at most.
      rounds: number of measurements.
      low, high: smallest and largest ratio of a round.
      detail: the measurements, with units.
    """

    claim: str
    peer: str
    ratio: float
    goal: float | None
    better: str = "higher"
    rounds: int = 1
    low: float | None = None
    high: float | None = None
    detail: str = ""

    def __post_init__(self):
        if self.better not in ("higher", "lower"):
            raise ValueError(f"better must be 'higher' or 'lower'. Received: {self.better!r}")

    @classmethod
    def of(
        cls,
        claim: str,
        peer: str,
        timings: Mapping[str, Timing],
        ours: str,
        theirs: str,
        *,
        goal: float | None,
        better: str = "higher",
        unit: float = 1e3,
        unit_name: str = "ms",
    ) -> Claim:
        """A claim about two contenders, measured in seconds for the same work.

        With `better="higher"` the ratio is how many times as fast ours is, with "lower" how many
        times as long ours takes.
        """
        a, b = timings[ours], timings[theirs]
        top, bottom = (b, a) if better == "higher" else (a, b)
        by_round = [x / y for x, y in zip(top.values, bottom.values, strict=True)]

        def show(timing: Timing) -> str:
            low, middle, high = (v * unit for v in (timing.low, timing.median, timing.high))
            return f"{middle:.3g} [{low:.3g} - {high:.3g}] {unit_name}"

        return cls(
            claim,
            peer,
            top.median / bottom.median,
            goal,
            better,
            len(by_round),
            min(by_round),
            max(by_round),
            f"{ours} {show(a)}; {theirs} {show(b)}",
        )

    @property
    def holds(self) -> bool | None:
        if self.goal is None:
            return None
        return self.ratio >= self.goal if self.better == "higher" else self.ratio <= self.goal

    def row(self) -> dict:
        return {**asdict(self), "holds": self.holds, "machine": machine()}

    def __str__(self) -> str:
        return line_of(self.row())


def line_of(row: Mapping) -> str:
    """A JSON row as one readable line."""
    verdict = {True: "holds", False: "FAILS", None: "noted"}[row["holds"]]
    sign = "at least" if row["better"] == "higher" else "at most"
    goal = "" if row["goal"] is None else f" ({sign} {row['goal']:g})"
    spread = "" if row["low"] is None else f" [{row['low']:.3g} - {row['high']:.3g}]"
    detail = f"; {row['detail']}" if row["detail"] else ""
    return (
        f"{verdict}: {row['claim']}, against {row['peer']}: x {row['ratio']:.3g}{spread}{goal}, "
        f"{row['rounds']} rounds{detail}"
    )


def interleave(
    contenders: Mapping[str, Callable[[], float]], rounds: int, warmup: int = 1
) -> dict[str, Timing]:
    """Measures the contenders in turn, A B C A B C ..., so that disturbances affect all equally.

    Args:
      contenders: name -> function that runs one round and returns its measurement, e.g. seconds.
      rounds: number of measured rounds.
      warmup: rounds before them that are not measured (tracing, caches, allocation).
    """
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(-warmup, rounds):
        for name, measure in contenders.items():
            value = float(measure())
            if turn >= 0:
                values[name].append(value)
    return {name: Timing(tuple(measured)) for name, measured in values.items()}


def seconds(work: Callable[[], object], repeat: int = 1) -> Callable[[], float]:
    """A contender that runs `work` `repeat` times and returns the mean seconds of a run.

    `work` must wait for its result (e.g. call `.numpy()` on TensorFlow's outputs).
    """

    def measure() -> float:
        started = time.perf_counter()
        for _ in range(repeat):
            work()
        return (time.perf_counter() - started) / repeat

    return measure


def p50(work: Callable[[], object], repeat: int) -> Callable[[], float]:
    """A contender that runs `work` `repeat` times and returns the median seconds of a run."""
    one = seconds(work)
    return lambda: statistics.median(one() for _ in range(repeat))


def peak_mb() -> float:
    """Peak resident memory of this process so far, in MB."""
    # getrusage would include the parent's memory until exec.
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine() -> dict:
    """The environment of a row: processor, memory, load, versions, peak memory."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "peak_mb": round(peak_mb()),
        "python": platform.python_version(),
        "versions": _versions(),
    }


def _cpu() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


class Worker:
    """A peer in its own process, which stays alive and runs a round per request.

    Args:
      command: command line of the process, which must call `serve`.
      environment: environment variables in addition to ours.

    Example:
      >>> with Worker([options.peer_python, "peers/keras_rs.py"]) as peer:  # doctest: +SKIP
      ...     timings = interleave({"keras-rs": lambda: peer.ask(steps=20)["seconds"]}, 5)
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] = {}):
        self._command = [str(part) for part in command]
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def ask(self, **message) -> dict:
        """Sends a message and waits for its answer.

        Raises:
          RuntimeError: the process has ended.
        """
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{' '.join(self._command)} ended with {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def serve(answer: Callable[[dict], dict]) -> None:
    """The process side of a `Worker`: answers each line of stdin until it closes.

    Output that `answer` prints goes to stderr.
    """
    with os.fdopen(os.dup(1), "w", buffering=1) as out:
        os.dup2(2, 1)
        for line in sys.stdin:
            out.write(json.dumps(answer(json.loads(line))) + "\n")


def has_module(python: str, module: str) -> bool:
    """Whether an interpreter can find a module."""
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", code], stderr=subprocess.DEVNULL).returncode == 0


def replace_file(path: str | os.PathLike, text: str) -> None:
    """Writes a file atomically."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the command-line options that claim scripts and run.py share."""
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument("--tiny", action="store_true", help="smallest sizes, as a test")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (7; 3 when quick, 1 tiny)")
    parser.add_argument("--json", metavar="FILE", help="write the rows here as JSON")
    parser.add_argument(
        "--peer-python",
        default=os.environ.get("TFREC_PEER_PYTHON", sys.executable),
        help="interpreter for peers that need other packages (TFREC_PEER_PYTHON)",
    )


def main(claims: Callable[[Options], Iterable[Claim]], description: str | None = None) -> None:
    """Runs a claim script: prints each claim when it is measured, and writes the rows as JSON."""
    parser = argparse.ArgumentParser(description=description)
    add_options(parser)
    arguments = parser.parse_args()
    options = Options(
        rounds=arguments.rounds or (1 if arguments.tiny else 3 if arguments.quick else 7),
        quick=arguments.quick,
        tiny=arguments.tiny,
        peer_python=arguments.peer_python,
    )
    rows = []
    for claim in claims(options):
        rows.append(claim.row())
        print(line_of(rows[-1]), flush=True)
    if arguments.json:
        replace_file(arguments.json, json.dumps(rows, indent=1) + "\n")
