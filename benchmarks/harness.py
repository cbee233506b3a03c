"""What every benchmark shares: interleaved rounds, claims, the machine, peers in other processes.

A claim script says what it holds against whom, and times all contenders in the same run:

    from harness import Claim, Options, interleave, main, seconds

    def claims(options: Options):
        timings = interleave({"ours": seconds(ours), "peer": seconds(peer)}, options.rounds)
        yield Claim.of("top-100 of 1M x 64", "TFRS BruteForce", timings, "ours", "peer", goal=1.7)

    if __name__ == "__main__":
        main(claims)

Only the standard library is imported here, so that a peer's own interpreter can use it too.
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
if str(ROOT) not in sys.path:  # a checkout that is not installed
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
    """Measurements of one contender, one a round; what they measure is the contender's choice."""

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
        """The measurements of one of `count` steps, rows or users."""
        return Timing(tuple(value / count for value in self.values))


@dataclass(frozen=True)
class Options:
    """What the command line asks of a claim script.

    Attributes:
      rounds: interleaved rounds a comparison.
      quick: fewer rows and rounds, every claim kept.
      tiny: sizes that only show that the script runs; its ratios mean nothing.
      peer_python: interpreter with the peers that cannot share our process.
    """

    rounds: int
    quick: bool
    tiny: bool
    peer_python: str

    def size(self, full, quick, tiny):
        """The one of three sizes that was asked for."""
        return tiny if self.tiny else quick if self.quick else full


@dataclass(frozen=True)
class Claim:
    """One line of the results.

    Attributes:
      claim: what is claimed, with its sizes.
      peer: who it is held against.
      ratio: the median one.
      goal: what the ratio must reach; None where it is only reported.
      better: "higher" where the ratio must be at least the goal, "lower" where at most.
      rounds: how many measurements stand behind it.
      low, high: the smallest and largest ratio of a round.
      detail: what was measured, in units.
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
        """A claim about two contenders whose measurements are seconds for the same work.

        With `better="higher"` the ratio is how many times faster ours is than theirs, with "lower"
        how many times longer ours takes.
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
    """A row of the JSON as one line for people."""
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
    """Measure the contenders in turn, A B C A B C ..., so that all meet the same disturbances.

    Args:
      contenders: name -> a function that does one round and returns its measurement, e.g. seconds.
      rounds: measured rounds.
      warmup: rounds before them whose measurements are dropped (tracing, caches, allocation).
    """
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(-warmup, rounds):
        for name, measure in contenders.items():
            value = float(measure())
            if turn >= 0:
                values[name].append(value)
    return {name: Timing(tuple(measured)) for name, measured in values.items()}


def seconds(work: Callable[[], object], repeat: int = 1) -> Callable[[], float]:
    """A contender that does `work` `repeat` times and measures the mean seconds of one.

    `work` must not return before its result is there (`.numpy()` of what TensorFlow gives back).
    """

    def measure() -> float:
        started = time.perf_counter()
        for _ in range(repeat):
            work()
        return (time.perf_counter() - started) / repeat

    return measure


def p50(work: Callable[[], object], repeat: int) -> Callable[[], float]:
    """A contender that does `work` `repeat` times and measures the median seconds of one."""
    one = seconds(work)
    return lambda: statistics.median(one() for _ in range(repeat))


def peak_mb() -> float:
    """The largest resident memory that this process has had so far, in MB."""
    # getrusage would count a parent's memory too, until exec.
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine() -> dict:
    """Where and with what a row was measured: processor, memory, load, versions, peak memory."""
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
    """A peer in a process of its own that stays alive and does a round whenever it is asked.

    Args:
      command: of the process, which must call `serve`.
      environment: variables on top of ours.

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
        """Send a message and wait for its answer.

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
    """The other end of a `Worker`: answer each line of stdin until it closes.

    What `answer` prints goes to stderr.
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
    """Write a file whole or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command line that claim scripts and run.py share."""
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument("--tiny", action="store_true", help="only show that it runs")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (7; 3 when quick, 1 tiny)")
    parser.add_argument("--json", metavar="FILE", help="where to write the rows")
    parser.add_argument(
        "--peer-python",
        default=os.environ.get("TFREC_PEER_PYTHON", sys.executable),
        help="interpreter of the peers that need other packages (TFREC_PEER_PYTHON)",
    )


def main(claims: Callable[[Options], Iterable[Claim]], description: str | None = None) -> None:
    """Run a claim script: one line a claim as soon as it is known, and the JSON rows at the end."""
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
