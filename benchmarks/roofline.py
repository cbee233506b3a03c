"""Compares a training step with the machine's limits, by timing each of its parts alone.

    python benchmarks/roofline.py [--quick] [--json FILE]

The step is that of training.py: 1M users and 1M items x 64, batch 4096. Per example, in-batch
softmax needs three products of 2 B D flops, one exponential for each of its B logits, and reads and
writes of a few rows of D numbers. These three parts are timed alone, in the shapes of the step.
"""

import time

import numpy as np
from harness import Claim, Options, interleave, main, seconds
from training import ours

from tfrec_fusion._compat import tf

BLOCK = 1024


def products(batch: int, dim: int):
    """The three matrix products of the blocked softmax."""
    queries, candidates = tf.random.normal([BLOCK, dim]), tf.random.normal([batch, dim])

    @tf.function
    def block():
        logits = tf.matmul(queries, candidates, transpose_b=True)
        both = tf.matmul(logits, candidates), tf.matmul(logits, queries, transpose_a=True)
        return both[0][0, 0] + both[1][0, 0]

    return lambda: [block().numpy() for _ in range(-(-batch // BLOCK))]


def exponentials(batch: int):
    """One pass of the exponential over the logits."""
    logits = -tf.random.uniform([min(BLOCK, batch), batch])
    block = tf.function(lambda: tf.exp(logits)[0, 0])
    return lambda: [block().numpy() for _ in range(-(-batch // BLOCK))]


def tables(rows: int, dim: int, batch: int):
    """Gathers from two tables and scatters into them and into an accumulator for each row."""
    variables = [tf.Variable(tf.zeros([rows, dim])) for _ in range(2)]
    accumulators = [tf.Variable(tf.zeros([rows])) for _ in range(2)]
    places = np.random.default_rng(0).permutation(rows)

    @tf.function
    def step(place):
        for variable, accumulator in zip(variables, accumulators, strict=True):
            change = tf.gather(variable, place)
            accumulator.scatter_add(tf.IndexedSlices(change[:, 0], place))
            change *= tf.gather(accumulator, place)[:, None]
            variable.scatter_sub(tf.IndexedSlices(change, place))

    starts = iter(range(1 << 30))

    def one():
        start = next(starts) * batch % (rows - batch + 1)
        step(tf.constant(places[start : start + batch]))

    return one


def copied(megabytes: int = 256):
    """Bytes per second that a copy reads and writes."""
    source = np.ones(megabytes << 17)
    target = np.empty_like(source)

    def one() -> float:
        started = time.perf_counter()
        np.copyto(target, source)
        return 2 * source.nbytes / (time.perf_counter() - started)

    return one


def claims(options: Options):
    rows, dim = options.size((1_000_000, 64), (1_000_000, 64), (2_000, 8))
    batch, steps = options.size((4096, 60), (4096, 24), (64, 4))
    repeat = options.size(10, 5, 1)

    def many(work):
        one = seconds(lambda: [work() for _ in range(repeat)])
        return lambda: one() / repeat

    timings = interleave(
        {
            "step": ours(rows, dim, batch, steps),
            "products": many(products(batch, dim)),
            "exponentials": many(exponentials(batch)),
            "tables": many(tables(rows, dim, batch)),
            "bandwidth": copied(),
        },
        options.rounds,
    )
    bandwidth = timings.pop("bandwidth").median
    flops = 3 * 2 * batch * dim
    moved = 2 * (5 * 4 * dim + 3 * 4)  # rows: 2 reads, 1 write; gradients: 1 write, 1 read
    found = {
        "products": f"{flops / 1e6:.2f} Mflop an example, "
        f"{flops * batch / timings['products'].median / 1e9:.0f} Gflop/s",
        "exponentials": f"{batch:,} exponentials an example, "
        f"{batch * batch / timings['exponentials'].median / 1e9:.1f} G/s",
        "tables": f"{moved / 1e3:.1f} kB an example, "
        f"{moved * batch / timings['tables'].median / 1e9:.1f} GB/s of {bandwidth / 1e9:.1f}",
    }
    what = f"a step of fit, {rows:,} users and items x {dim}, batch {batch}"
    for part, detail in found.items():
        claim = Claim.of(
            what, f"its {part} alone", timings, "step", part, goal=None, better="lower"
        )
        yield Claim(**{**claim.__dict__, "detail": f"{claim.detail}; {detail}"})
    bound = sum(timings[part].median for part in found)
    yield Claim(
        what,
        "the sum of these parts",
        timings["step"].median / bound,
        1.5,
        "lower",
        rounds=options.rounds,
        detail=f"step {timings['step'].median * 1e3:.1f} ms, parts {bound * 1e3:.1f} ms",
    )


if __name__ == "__main__":
    main(claims, __doc__.partition("\n")[0])
