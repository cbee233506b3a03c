"""Claim 3: the blocked in-batch softmax needs less time and memory than the plain one, same values.

    python benchmarks/softmax.py [--quick] [--json FILE]

Measures value and gradients for a batch of 4096 x 64. Each form runs in its own process, to measure
its peak memory.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from harness import Claim, Options, Worker, interleave, main

PEERS = Path(__file__).resolve().parent / "peers"
FORMS = ("blocked", "plain", "bare", "blocked bf16")


def claims(options: Options) -> Iterator[Claim]:
    batch, dim = options.size((4096, 64), (4096, 64), (300, 16))
    steps = options.size(20, 10, 2)
    what = f"in-batch softmax with gradients, batch {batch} x {dim}"
    added: dict[str, float] = {}
    with contextlib.ExitStack() as stack:

        def contender(form: str):
            sizes = [f"--batch={batch}", f"--dim={dim}", f"--steps={steps}"]
            command = [sys.executable, PEERS / "softmax_step.py", form, *sizes]
            worker = stack.enter_context(Worker(command))

            def measure() -> float:
                answer = worker.ask()
                added[form] = answer["added_mb"]
                return answer["seconds"]

            return measure

        timings = interleave({form: contender(form) for form in FORMS}, options.rounds)
    same = "the same loss over the whole matrix"
    yield Claim.of(what, same, timings, "blocked", "plain", goal=1.8)
    yield Claim.of(
        what, "the whole matrix without logQ and masks", timings, "blocked", "bare", goal=None
    )
    yield Claim.of(f"{what}, bfloat16", same, timings, "blocked bf16", "plain", goal=None)
    yield Claim(
        f"peak memory of the {what}",
        same,
        added["blocked"] / max(added["plain"], 1e-9),
        1.0,
        "lower",
        detail=f"{added['blocked']:.0f} MB above the process before; plain {added['plain']:.0f} MB",
    )
    yield largest_difference(what, same, batch, dim)


def largest_difference(what: str, peer: str, batch: int, dim: int) -> Claim:
    sys.path.append(str(PEERS))
    from softmax_step import step_of

    ours, theirs = (step_of(form, batch, dim)() for form in ("blocked", "plain"))
    gaps = [float(np.abs(a - b).max()) for a, b in zip(ours[1:], theirs[1:], strict=True)]
    return Claim(
        f"largest difference of a gradient, {what}",
        peer,
        max(gaps),
        1e-5,
        "lower",
        detail=f"largest gradient {max(float(np.abs(g).max()) for g in theirs[1:]):.3g}",
    )


if __name__ == "__main__":
    main(claims, __doc__.partition("\n")[0])
