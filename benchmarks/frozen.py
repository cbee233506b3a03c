"""Claim 5: training on frozen text, 100k x 768, against joining the vectors in tf.data.

A step reads a batch's text vectors, projects them to 64 columns, and computes the gradient of the
projection. Items are drawn uniformly, so rows rarely repeat within a batch.
"""

import tempfile
from pathlib import Path

import numpy as np
from harness import Claim, Options, interleave, main, seconds

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.examples import BlockWindow
from tfrec_fusion.layers import FrozenVectors

BATCH, DIM = 4096, 64


def epoch_of(data: tf.data.Dataset, vectors, kernel):
    """Returns a function that runs an epoch in one graph and returns the sum of the gradients."""

    def step(total, batch):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(vectors(batch)))
        return total + tape.gradient(loss, kernel)

    @tf.function
    def epoch():
        return data.reduce(tf.zeros(kernel.shape), step)

    return lambda: epoch().numpy()


def saved_bytes(layer: FrozenVectors) -> int:
    module = tf.Module()
    module.layer = layer
    module.run = tf.function(
        lambda rows: layer(rows)[0], input_signature=[tf.TensorSpec([None], tf.int32)]
    )
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def claims(options: Options):
    n_items, text_dim = options.size((100_000, 768), (100_000, 768), (5_000, 64))
    steps = options.size(60, 20, 2)
    few = max(1, steps // 4)  # for the slow peer; times are per step
    rng = np.random.default_rng(0)
    text = rng.standard_normal((n_items, text_dim), dtype=np.float32)
    item = rng.integers(0, n_items, BATCH * steps).astype(np.int32)
    rows = BlockWindow({"item": item}).batches(BATCH)

    layers = {}
    for storage in ("float32", "float16", "int8"):
        layers[storage] = FrozenVectors(n_items, text_dim, DIM, storage=storage)
        layers[storage].assign(text, np.ones(n_items, bool))
    epochs = {
        storage: epoch_of(rows, lambda b, one=layer: one(b["item"])[0], layer.kernel)
        for storage, layer in layers.items()
    }

    table = tf.constant(text)
    dense = keras.layers.Dense(DIM, use_bias=False)
    dense.build([None, text_dim])
    joined = (
        tf.data.Dataset.from_tensor_slices({"item": item[: BATCH * few]})
        .shuffle(10_000)
        .map(lambda row: tf.gather(table, row["item"]), num_parallel_calls=tf.data.AUTOTUNE)
        .batch(BATCH)
        .prefetch(tf.data.AUTOTUNE)
    )
    join = epoch_of(joined, dense, dense.kernel)
    contenders = {
        **{name: seconds(epoch) for name, epoch in epochs.items()},
        "per-example join": seconds(join),
    }
    timings = interleave(contenders, options.rounds)
    timings = {
        name: timing.divided_by(few if name == "per-example join" else steps)
        for name, timing in timings.items()
    }
    what = f"a step on frozen text, {n_items:,} x {text_dim}, batch {BATCH}"
    for storage in layers:
        yield Claim.of(
            f"{what}, {storage}",
            "a join of each example in tf.data",
            timings,
            storage,
            "per-example join",
            goal=5 if storage == "float32" else None,
        )
    for storage in ("int8", "float16"):
        yield Claim.of(
            f"{what}, {storage}",
            "the same in float32",
            timings,
            storage,
            "float32",
            goal=0.8 if storage == "int8" else None,
        )
    size = {storage: saved_bytes(layer) for storage, layer in layers.items()}
    for storage, goal in (("int8", 0.3), ("float16", None)):
        yield Claim(
            f"SavedModel of frozen text, {storage}",
            "the same in float32",
            size[storage] / size["float32"],
            goal,
            "lower",
            detail=f"{size[storage] / 1e6:.1f} MB; float32 {size['float32'] / 1e6:.1f} MB",
        )


if __name__ == "__main__":
    main(claims, __doc__.partition("\n")[0])
