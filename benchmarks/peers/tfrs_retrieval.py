"""TFRS's tutorial retrieval model on integer ids: two Embedding layers and `tasks.Retrieval`.

Its input is the tutorial's, too: `shuffle(100_000)` and `batch`. With `--cache`, all epochs after
the first read the same cached batches in the same order. The task's top-k metrics are left out. The
end of an epoch waits for tf.data's autotuning, until second 5.12, 10.24 and so on; `--no-autotune`
avoids this.
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

from pairs import options, pairs, serve_epochs  # noqa: I001
import tensorflow as tf
import tensorflow_recommenders as tfrs


class Tutorial(tfrs.Model):
    def __init__(self, rows: int, dim: int):
        super().__init__()
        self.user_model = tf.keras.Sequential([tf.keras.layers.Embedding(rows, dim)])
        self.item_model = tf.keras.Sequential([tf.keras.layers.Embedding(rows, dim)])
        self.task = tfrs.tasks.Retrieval()

    def compute_loss(self, features, training=False):
        return self.task(
            self.user_model(features["user"]),
            self.item_model(features["item"]),
            compute_metrics=False,
        )


def main():
    o = options()
    user, item = pairs(o.rows, o.batch * o.steps)
    data = tf.data.Dataset.from_tensor_slices({"user": user, "item": item})
    data = data.shuffle(100_000).batch(o.batch)
    data = data.cache() if o.cache else data.prefetch(tf.data.AUTOTUNE)
    tf_options = tf.data.Options()
    tf_options.autotune.enabled = not o.no_autotune
    data = data.with_options(tf_options)
    model = Tutorial(o.rows, o.dim)
    model.compile(getattr(tf.keras.optimizers, o.optimizer)(0.1 if o.optimizer != "Adam" else 1e-3))

    def epoch():
        return float(model.fit(data, epochs=1, verbose=0).history["total_loss"][-1])

    serve_epochs(epoch, o.steps)


main()
