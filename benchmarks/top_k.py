"""Claim 7: exact top-100 of 1M x 64 against TFRS BruteForce and the floor, matmul + reduce_max."""

import numpy as np
from harness import Claim, Options, interleave, main, p50

from tfrec_fusion._compat import tf, tfrs
from tfrec_fusion.retrieval import ExactTopK

DIM, K = 64, 100
FLOOR = "matmul + reduce_max"


def claims(options: Options):
    n_items = options.size(1_000_000, 1_000_000, 20_000)
    rng = np.random.default_rng(0)
    items = rng.standard_normal((n_items, DIM), dtype=np.float32)
    layer = ExactTopK(items)
    compiled = ExactTopK(items, jit_compile=True)
    peer = tfrs.layers.factorized_top_k.BruteForce(k=K).index(tf.constant(items))
    vectors = tf.Variable(items, trainable=False)
    del items

    ours = tf.function(lambda queries: layer(queries, K))
    brute = tf.function(lambda queries: peer(queries))
    floor = tf.function(
        lambda queries: tf.reduce_max(tf.matmul(queries, vectors, transpose_b=True), 1)
    )
    for batch, goal in ((64, 1.7), (1, 1.2)):
        queries = tf.constant(rng.standard_normal((batch, DIM), dtype=np.float32))
        repeat = options.size(*((15, 5, 1) if batch > 1 else (60, 20, 2)))
        timings = interleave(
            {
                "ExactTopK": p50(lambda q=queries: ours(q)[1].numpy(), repeat),
                "under XLA": p50(lambda q=queries: compiled(q, K)[1].numpy(), repeat),
                "BruteForce": p50(lambda q=queries: brute(q)[1].numpy(), repeat),
                FLOOR: p50(lambda q=queries: floor(q).numpy(), repeat),
            },
            options.rounds,
        )
        what = f"exact top-{K} of {n_items:,} x {DIM}, batch {batch}"
        yield Claim.of(what, "TFRS BruteForce", timings, "ExactTopK", "BruteForce", goal=goal)
        yield Claim.of(what, FLOOR, timings, "ExactTopK", FLOOR, goal=1.4, better="lower")
        yield Claim.of(
            f"{what}, under XLA", "TFRS BruteForce", timings, "under XLA", "BruteForce", goal=None
        )
        yield Claim.of(
            f"{what}, under XLA", FLOOR, timings, "under XLA", FLOOR, goal=None, better="lower"
        )
        wrong = int((ours(queries)[1].numpy() != brute(queries)[1].numpy()).any(1).sum())
        yield Claim(
            f"{what}: queries with another list", "TFRS BruteForce", wrong, 0, better="lower"
        )


if __name__ == "__main__":
    main(claims, __doc__)
