"""Random numbers that resume from a checkpoint."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf


def add_draws(layer: keras.layers.Layer) -> tf.Variable:
    """Adds a weight `[2]` int64 to a layer: a random seed and the number of draws so far.

    Training resumed from a checkpoint then draws the same numbers as uninterrupted training.
    """
    return layer.add_weight(
        "draws",
        (2,),
        initializer=_random_seed,
        dtype=tf.int64,
        trainable=False,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


def next_seed(draws: tf.Variable) -> tf.Tensor:
    """Returns a new seed `[2]` for one `tf.random.stateless_*` draw at each call."""
    seed = tf.identity(draws)
    draws.assign_add(tf.constant([0, 1], tf.int64))
    return seed


def _random_seed(shape, dtype=None):
    """A random number and zero."""
    return tf.stack([tf.random.uniform([], maxval=tf.int64.max, dtype=dtype), tf.zeros([], dtype)])
