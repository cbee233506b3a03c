"""keras-rs on the TensorFlow backend, like its basic retrieval example.

`compute_loss` and the identity labels are those of the example.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.pop("TF_USE_LEGACY_KERAS", None)

from pairs import options, pairs, serve_epochs  # noqa: I001
import keras
import keras_rs
import tensorflow as tf


class Retrieval(keras.Model):
    def __init__(self, rows: int, dim: int):
        super().__init__()
        self.user_embedding = keras_rs.layers.EmbedReduce(rows, dim)
        self.item_embedding = keras_rs.layers.EmbedReduce(rows, dim)
        self.loss_fn = keras.losses.CategoricalCrossentropy(from_logits=True)

    def call(self, inputs):
        return {
            "user": self.user_embedding(inputs["user"]),
            "item": self.item_embedding(inputs["item"]),
        }

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        scores = keras.ops.matmul(y_pred["user"], keras.ops.transpose(y_pred["item"]))
        n_users, n_items = keras.ops.shape(scores)
        return self.loss_fn(keras.ops.eye(n_users, n_items), scores, sample_weight)


def main():
    o = options()
    user, item = pairs(o.rows, o.batch * o.steps)
    # A bag of one id each, as EmbedReduce expects.
    columns = {"user": user[:, None], "item": item[:, None]}
    data = tf.data.Dataset.from_tensor_slices(columns).shuffle(100_000).batch(o.batch)
    data = data.map(lambda x: (x, 0.0))
    data = data.cache() if o.cache else data.prefetch(tf.data.AUTOTUNE)
    model = Retrieval(o.rows, o.dim)
    # XLA would make the tables' gradients dense.
    model.compile(getattr(keras.optimizers, o.optimizer)(0.1), jit_compile=False)

    def epoch():
        return float(model.fit(data, epochs=1, verbose=0).history["loss"][-1])

    serve_epochs(epoch, o.steps)


main()
