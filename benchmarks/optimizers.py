"""Time that the optimizer of embedding tables adds to a step, for tables of different sizes.

The step is that of a two-tower model on integer ids: two tables of 64 columns, a dense layer per
tower, softmax over the batch. "Without" computes only the loss and all gradients.
"""

import gc
import time

import numpy as np
from harness import Claim, Options, interleave, main

from tfrec_fusion._compat import addons, keras, tf
from tfrec_fusion.optimizers import LazyAdam, TableOptimizer, for_tables

DIM = 64


class Step:
    """A model with its optimizer; calling it runs a round and returns the seconds per step.

    Args:
      optimizer: the optimizer; None computes only the loss and its gradients.
      rows: rows of each of the two tables.
      batches: `[steps, 2, batch]` int32.
    """

    def __init__(self, optimizer, rows: int, batches: np.ndarray):
        self.batches = [tf.constant(batch) for batch in batches]
        self.tables = [
            tf.Variable(tf.random.normal((rows, DIM), stddev=0.05), name=f"{tower}/table")
            for tower in ("user", "item")
        ]
        self.kernels = [
            tf.Variable(tf.eye(DIM), name=f"{tower}/kernel") for tower in ("user", "item")
        ]
        self.weights = [*self.tables, *self.kernels]
        self.optimizer = optimizer
        if optimizer is not None and hasattr(optimizer, "build"):
            optimizer.build(self.weights)
        shape = tf.TensorSpec([2, batches.shape[2]], tf.int32)
        self.gradients = tf.function(self._gradients, input_signature=[shape])
        self.step = tf.function(self._step, input_signature=[shape])

    def _gradients(self, ids):
        with tf.GradientTape() as tape:
            users, items = (
                tf.matmul(tf.nn.embedding_lookup(table, row), kernel)
                for table, row, kernel in zip(
                    self.tables, tf.unstack(ids), self.kernels, strict=True
                )
            )
            logits = tf.matmul(users, items, transpose_b=True)
            labels = tf.range(tf.shape(logits)[0])
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        return loss, tape.gradient(loss, self.weights)

    def _step(self, ids):
        loss, gradients = self._gradients(ids)
        self.optimizer.apply_gradients(zip(gradients, self.weights, strict=True))
        return loss

    def __call__(self) -> float:
        run = self.gradients if self.optimizer is None else self.step
        return _mean_seconds(run, self.batches)


class Update(Step):
    """Only the optimizer, on precomputed gradients."""

    def __init__(self, optimizer, rows: int, batches: np.ndarray):
        super().__init__(optimizer, rows, batches)
        self.ready = [self.gradients(batch)[1] for batch in self.batches]
        self.apply = tf.function(
            lambda gradients: self.optimizer.apply_gradients(
                zip(gradients, self.weights, strict=True)
            ),
            reduce_retracing=True,
        )

    def __call__(self) -> float:
        return _mean_seconds(self.apply, self.ready)


def _mean_seconds(run, arguments) -> float:
    """Mean seconds per step; on CPU a tf.function returns when its operations are done."""
    started = time.perf_counter()
    for argument in arguments:
        run(argument)
    return (time.perf_counter() - started) / len(arguments)


def _batches(rows: int, batch: int, steps: int) -> np.ndarray:
    """`[steps, 2, batch]` int32; ids are distinct in a batch, so each has as many unique ids."""
    rng = np.random.default_rng(0)
    draws = [[rng.choice(rows, batch, replace=False) for _ in range(2)] for _ in range(steps)]
    return np.array(draws, np.int32)


def claims(options: Options):
    tf.get_logger().setLevel("ERROR")  # hides retracing warnings, as each model is traced anew
    large = options.size(1_000_000, 1_000_000, 5_000)
    small = options.size(10_000, 10_000, 1_000)
    batch = options.size(4096, 4096, 256)
    steps = options.size(20, 8, 2)
    sizes = f"2 tables of {large:,} x {DIM}, batch {batch}"

    peers = {
        "tf_keras Adagrad": lambda: keras.optimizers.Adagrad(0.05),
        "tf_keras legacy Adam": lambda: keras.optimizers.legacy.Adam(1e-3),
        "tf_keras Adam": lambda: keras.optimizers.Adam(1e-3),
    }
    try:
        peers["Addons LazyAdam"] = addons().optimizers.LazyAdam
    except ImportError as error:
        print(f"absent: Addons ({error})", flush=True)
    makers = {
        "without": lambda: None,
        "for_tables": for_tables,
        "LazyAdam tables": lambda: TableOptimizer(LazyAdam(1e-3)),
        **peers,
    }
    ids = _batches(large, batch, steps)
    timings = interleave(
        {name: Step(make(), large, ids) for name, make in makers.items()}, options.rounds
    )
    for name, goal in (("for_tables", 10), ("LazyAdam tables", None)):
        yield _added(name, sizes, timings, goal)
    for peer in peers:
        yield Claim.of(f"a whole step, {sizes}", peer, timings, "for_tables", peer, goal=None)

    del timings
    gc.collect()
    for kind, what, goal in (
        (Step, "a step", 1.3),
        (Update, "the optimizer alone", None),
    ):
        names = f"{large:,} rows", f"{small:,} rows"
        contenders = {
            name: kind(for_tables(), rows, _batches(rows, batch, steps))
            for name, rows in zip(names, (large, small), strict=True)
        }
        yield Claim.of(
            f"{what} at {names[0]} takes as long as at {names[1]}, {batch} distinct ids a table",
            "for_tables",
            interleave(contenders, options.rounds),
            *names,
            goal=goal,
            better="lower",
        )


def _added(name: str, sizes: str, timings, goal) -> Claim:
    """Milliseconds of a step with the optimizer minus those of one without, for each round."""
    whole, without = timings[name], timings["without"]
    added = [1e3 * (a - b) for a, b in zip(whole.values, without.values, strict=True)]
    return Claim(
        f"milliseconds that {name} adds to a step, {sizes}",
        "loss and gradients alone",
        float(np.median(added)),
        goal,
        "lower",
        len(added),
        min(added),
        max(added),
        f"with {1e3 * whole.median:.3g} ms; without {1e3 * without.median:.3g} ms",
    )


if __name__ == "__main__":
    main(claims, __doc__.partition("\n")[0])
