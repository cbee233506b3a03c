"""A training step on 26 categorical features: one shared table against one by hand and 26 tables.

The features have a million values together, from ten in the smallest to a third of all in the
largest, and a million stored rows. A step looks up the features of a batch of rows, embeds them,
computes `W x + MLP(x)` of size 64 and a squared loss, its gradients, and the optimizer's update.
"""

import gc
import time

import numpy as np
from harness import Claim, Options, interleave, main

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import SideFeatures
from tfrec_fusion.optimizers import for_tables

FEATURES, COLUMNS, DIM, HIDDEN = 26, 16, 64, 32


class OneTable(tf.Module):
    """The same step by hand: one table, a gather, and the products; no missing values."""

    def __init__(self, rows: np.ndarray, n_values: int):
        super().__init__()
        width = FEATURES * COLUMNS
        self.rows = tf.Variable(rows, trainable=False)
        self.table = tf.Variable(tf.random.normal((n_values, COLUMNS), stddev=0.25), name="table")
        self.kernel = tf.Variable(tf.zeros((width, DIM)), name="kernel")
        self.hidden = tf.Variable(tf.random.normal((width, HIDDEN), stddev=0.05), name="hidden")
        self.last = tf.Variable(tf.zeros((HIDDEN, DIM)), name="last")

    def __call__(self, batch):
        return self.products(tf.nn.embedding_lookup(self.table, tf.gather(self.rows, batch)))

    def products(self, vectors):
        x = tf.reshape(vectors, [-1, FEATURES * COLUMNS])
        return x @ self.kernel + tf.nn.relu(x @ self.hidden) @ self.last


class ManyTables(OneTable):
    """A `keras.layers.Embedding` a feature."""

    def __init__(self, rows: np.ndarray, sizes: np.ndarray):
        super().__init__(rows, 1)
        self.table = None
        self.tables = [keras.layers.Embedding(size, COLUMNS) for size in sizes.tolist()]

    def __call__(self, batch):
        ids = tf.unstack(tf.gather(self.rows, batch), FEATURES, axis=1)
        vectors = [table(one) for table, one in zip(self.tables, ids, strict=True)]
        return self.products(tf.concat(vectors, 1))


class Step:
    """A step of a model with its optimizer; calling it runs a round, in seconds per step."""

    def __init__(self, model, optimizer, batches: np.ndarray):
        self.batches = [tf.constant(batch) for batch in batches]
        target = tf.random.stateless_normal((batches.shape[1], DIM), (1, 2))
        model(self.batches[0])  # builds Keras layers
        weights = list(model.trainable_variables)
        optimizer.build(weights)

        @tf.function(input_signature=[tf.TensorSpec([batches.shape[1]], tf.int32)])
        def step(batch):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(model(batch) - target))
            gradients = tape.gradient(loss, weights)
            optimizer.apply_gradients(zip(gradients, weights, strict=True))
            return loss

        self.step = step

    def __call__(self) -> float:
        started = time.perf_counter()
        for batch in self.batches:
            self.step(batch)
        return (time.perf_counter() - started) / len(self.batches)


def claims(options: Options):
    tf.get_logger().setLevel("ERROR")  # hides retracing warnings, as each model is traced anew
    n_rows = options.size(1_000_000, 1_000_000, 2_000)
    n_values = options.size(1_000_000, 1_000_000, 2_000)
    sizes = _sizes(n_values)
    rng = np.random.default_rng(0)
    own = np.stack([rng.integers(0, size, n_rows, np.int32) for size in sizes], 1)
    shared = own + np.append(0, np.cumsum(sizes)[:-1]).astype(np.int32)
    layer = SideFeatures(n_rows, n_values, [(1, "sum")] * FEATURES, 0, DIM, COLUMNS, HIDDEN)
    layer.assign(shared, np.zeros((n_rows, 0), np.float32))
    makers = {
        "SideFeatures": lambda: (layer, for_tables()),
        "by hand": lambda: (OneTable(shared, n_values), for_tables()),
        "26 tables": lambda: (ManyTables(own, sizes), for_tables()),
        "26 tables, Adam": lambda: (ManyTables(own, sizes), keras.optimizers.Adam()),
    }
    for batch, steps in (
        (options.size(4096, 4096, 64), options.size(20, 10, 2)),
        (options.size(512, 512, 16), options.size(80, 40, 2)),
    ):
        batches = rng.integers(0, n_rows, (steps, batch), np.int32)
        contenders = {name: Step(*make(), batches) for name, make in makers.items()}
        timings = interleave(contenders, options.rounds)
        del contenders
        gc.collect()
        what = f"a step on {FEATURES} categorical features of {n_values:,} values, batch {batch}"
        hand = "one fused table by hand, for_tables"
        yield Claim.of(what, hand, timings, "SideFeatures", "by hand", goal=1.3, better="lower")
        for name, peer in (
            ("26 tables, Adam", "26 keras.layers.Embedding, tf_keras Adam"),
            ("26 tables", "26 keras.layers.Embedding, for_tables"),
        ):
            yield Claim.of(what, peer, timings, "SideFeatures", name, goal=2)


def _sizes(n_values: int) -> np.ndarray:
    """Sizes `[26]` of the vocabularies, from 10 up in equal ratios; their sum is `n_values`."""
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        total = (10 * np.exp(np.linspace(0, middle, FEATURES))).sum()
        low, high = (middle, high) if total < n_values else (low, middle)
    sizes = (10 * np.exp(np.linspace(0, low, FEATURES))).astype(np.int32)
    sizes[-1] += n_values - sizes.sum()
    return sizes


if __name__ == "__main__":
    main(claims, __doc__.partition("\n")[0])
