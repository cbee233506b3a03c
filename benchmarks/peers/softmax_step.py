"""Value and gradients of one form of the in-batch softmax, in a process of its own.

Forms: "blocked" and "blocked bf16" (ours); "plain": the whole matrix with the log-q correction and
masked accidental hits, like ours; "bare": only the whole matrix.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

import numpy as np  # noqa: E402
from harness import peak_mb, serve  # noqa: E402

from tfrec_fusion._compat import tf  # noqa: E402
from tfrec_fusion.losses import InBatchSoftmax  # noqa: E402


def bare(users, items, item_ids, log_q):
    logits = tf.matmul(users, items, transpose_b=True)
    labels = tf.range(tf.shape(users)[0])
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def plain(users, items, item_ids, log_q):
    logits = tf.matmul(users, items, transpose_b=True) - log_q
    labels = tf.range(tf.shape(users)[0])
    hit = (item_ids[:, None] == item_ids) & (labels[:, None] != labels)
    logits = tf.where(hit, -1e9, logits)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def distinct(users, items, item_ids, log_q):
    own = tf.unique(item_ids).idx
    first = tf.math.unsorted_segment_min(tf.range(tf.size(own)), own, tf.reduce_max(own) + 1)
    items, log_q = tf.gather(items, first), tf.gather(log_q, first)
    return InBatchSoftmax()(users, items, log_q=log_q, own=own)


FORMS = {
    "blocked": InBatchSoftmax,
    "blocked distinct": lambda: distinct,
    "blocked bf16": lambda: InBatchSoftmax(matmul_dtype="bfloat16"),
    "plain": lambda: plain,
    "bare": lambda: bare,
}


def step_of(form: str, batch: int, dim: int):
    """A function without arguments: loss and gradients by users and items, as NumPy arrays."""
    rng = np.random.default_rng(0)
    users, items = (tf.constant(rng.normal(0, dim**-0.25, (batch, dim)), tf.float32) for _ in "ab")
    item_ids = tf.constant(rng.integers(0, 1_000_000, batch), tf.int32)
    log_q = tf.constant(rng.normal(size=batch), tf.float32)
    loss_of = FORMS[form]()

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch([users, items])
            loss = loss_of(users, items, item_ids, log_q)
        return loss, *tape.gradient(loss, [users, items])

    return lambda: [value.numpy() for value in step()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("form", choices=FORMS)
    for name in ("batch", "dim", "steps"):
        parser.add_argument(f"--{name}", type=int, required=True)
    o = parser.parse_args()
    # Warm-up at another size, so that TensorFlow's own memory is not counted.
    step_of(o.form, 64, o.dim)()
    before = peak_mb()
    step = step_of(o.form, o.batch, o.dim)

    def answer(_message: dict) -> dict:
        started = time.perf_counter()
        for _ in range(o.steps):
            step()
        seconds = (time.perf_counter() - started) / o.steps
        return {"seconds": seconds, "added_mb": peak_mb() - before}

    serve(answer)


if __name__ == "__main__":
    main()
