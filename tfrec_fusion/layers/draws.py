"""Random draws that a checkpoint goes on with."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf


def add_draws(layer: keras.layers.Layer) -> tf.Variable:
    """A random seed and a count of draws `[2]` int64, kept with the layer's weights.

    A training that goes on from a checkpoint then draws what it would have drawn.
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
    """A seed `[2]` for one `tf.random.stateless_*` draw; the next call gives another."""
    seed = tf.identity(draws)
    draws.assign_add(tf.constant([0, 1], tf.int64))
    return seed


def _random_seed(shape, dtype=None):
    """A random number and zero."""
    return tf.stack([tf.random.uniform([], maxval=tf.int64.max, dtype=dtype), tf.zeros([], dtype)])
