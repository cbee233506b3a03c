"""Trains one small model under a strategy; the processes that `test_distributed.py` starts.

    python distributed_fit.py single|mirrored|worker|chief FOLDER
    python distributed_fit.py server -

Workers, chief and servers find each other by TF_CONFIG. FOLDER gets `result.npz`, with the weights
and losses by optimizer, and from `chief` and `single` a checkpoint of the whole state.
"""

import os
import sys

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import IdEmbedding
from tfrec_fusion.optimizers import LazyAdam, TableOptimizer, for_tables

EPOCHS, STEPS, BATCH, ROWS = 2, 4, 16, 60
OPTIMIZERS = {
    "row-wise": lambda: for_tables(0.05, 0.01, weight_decay=0.01, global_clipnorm=0.5),
    "lazy": lambda: TableOptimizer(
        LazyAdam(keras.optimizers.schedules.ExponentialDecay(0.05, 2, 0.9))
    ),
}


class Waves(keras.initializers.Initializer):
    """The same start under any partitioning."""

    def __call__(self, shape, dtype=None, **kwargs):
        n = int(np.prod(shape))
        return tf.cast(tf.reshape(0.3 * tf.sin(tf.range(n, dtype=tf.float32)), shape), dtype)


def examples():
    """Ids `[n, 2]` below 40 of 60, with many duplicates in a batch, and targets."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 40, (STEPS * BATCH, 2)) // rng.integers(1, 4, (STEPS * BATCH, 2))
    return ids.astype(np.int32), np.float32(ids.sum(1, keepdims=True) % 3)


def dataset():
    data = tf.data.Dataset.from_tensor_slices(examples()).batch(BATCH, drop_remainder=True)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return data.with_options(options)


def compiled(optimizer: str):
    ids = keras.Input((2,), dtype=tf.int32)
    own = IdEmbedding(ROWS, 4, initializer=Waves(), name="own")(ids[:, 0])
    theirs = keras.layers.Embedding(ROWS, 4, embeddings_initializer=Waves(), name="keras")(
        ids[:, 1]
    )
    joined = keras.layers.Concatenate()([own, theirs, own * theirs])
    model = keras.Model(ids, keras.layers.Dense(1, kernel_initializer=Waves())(joined))
    model.compile(OPTIMIZERS[optimizer](), "mse")
    return model


def main(role: str, folder: str) -> None:
    cluster = "TF_CONFIG" in os.environ and tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if role == "server":
        tf.distribute.Server(
            cluster.cluster_spec(),
            job_name=cluster.task_type,
            task_index=cluster.task_id,
            protocol="grpc",
        ).join()
    if role == "single":
        strategy = tf.distribute.get_strategy()
    elif role == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    elif role == "worker":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        # The tables of 960 bytes go to two servers, everything else is smaller than a shard.
        partitioner = tf.distribute.experimental.partitioners.MinSizePartitioner(400, max_shards=2)
        strategy = tf.distribute.ParameterServerStrategy(cluster, variable_partitioner=partitioner)
    results = {}
    for name in OPTIMIZERS:
        with strategy.scope():
            model = compiled(name)
        if role == "chief":
            shards = [v.name for v in model.trainable_variables if "part_" in v.name]
            assert len(shards) == 4, f"the tables are not partitioned: {shards}"
            data = keras.utils.experimental.DatasetCreator(lambda context: dataset().repeat())
        else:
            data = dataset().repeat()
        losses = model.fit(data, epochs=EPOCHS, steps_per_epoch=STEPS, verbose=0).history["loss"]
        results[f"{name}/loss"] = losses
        results[f"{name}/iterations"] = model.optimizer.iterations.numpy()
        for layer, weight in (("own", "table"), ("own", "unknown"), ("keras", "embeddings")):
            value = getattr(model.get_layer(layer), weight)
            results[f"{name}/{layer}/{weight}"] = tf.convert_to_tensor(value).numpy()
        for index, value in enumerate(model.layers[-1].get_weights()):
            results[f"{name}/dense/{index}"] = value
        if role in ("single", "chief"):
            checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
            checkpoint.write(os.path.join(folder, name))
    np.savez(os.path.join(folder, "result.npz"), **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
