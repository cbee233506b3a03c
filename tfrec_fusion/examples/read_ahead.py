"""The end of every input pipeline."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.examples.epochs import Epochs


def read_ahead(
    dataset: tf.data.Dataset, n_batches: int | None = None, epochs: Epochs | None = None
) -> tf.data.Dataset:
    """The data set, prefetched, of known length, and without tf.data's autotuning.

    Autotuning sleeps between its rounds for a time that doubles from 10 ms on, and the end of an
    iterator waits for it: epochs of 3 s were seen to end at second 5.12 or 10.24 in half of all
    cases.

    Args:
      dataset: of batches.
      n_batches: its length, where the data set cannot know.
      epochs: those that it goes through; None for a part of another pipeline, which counts them.
    """
    if n_batches is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(n_batches))
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    # What is only read ahead does not count, so this comes last.
    if epochs is not None:
        dataset = epochs.counted(dataset)
    return dataset.with_options(options)
