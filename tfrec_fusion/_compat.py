"""TensorFlow, the legacy Keras and TFRS, imported in the one order that works together."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf  # noqa: E402

keras = tf.keras

import tensorflow_recommenders as tfrs  # noqa: E402

__all__ = ["keras", "tf", "tfrs"]
