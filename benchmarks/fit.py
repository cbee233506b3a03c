"""Claim 8: Keras `fit` on a tiny model against a whole epoch in one tf.function."""

import numpy as np
from harness import Claim, Options, interleave, main, seconds

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.examples import BlockWindow
from tfrec_fusion.layers import IdEmbedding
from tfrec_fusion.optimizers import for_tables
from tfrec_fusion.training import StepsPerExecution

ROWS, DIM, BATCH = 2_000, 16, 256


class TinyTower(keras.Model):
    """Two tables and an in-batch softmax: the step is so short that overheads dominate."""

    def __init__(self):
        super().__init__()
        self.users, self.items = IdEmbedding(ROWS, DIM), IdEmbedding(ROWS, DIM)

    def call(self, batch):
        return tf.matmul(self.users(batch["user"]), self.items(batch["item"]), transpose_b=True)

    def train_step(self, batch):
        with tf.GradientTape() as tape:
            logits = self(batch)
            rows = tf.range(tf.shape(logits)[0])
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(rows, logits)
            loss = tf.reduce_mean(loss)
        self.optimizer.minimize(loss, self.trainable_variables, tape)
        return {"loss": loss}


def compiled() -> TinyTower:
    model = TinyTower()
    model.compile(for_tables(learning_rate=0.05))
    return model


def claims(options: Options):
    steps = options.size(1_000, 500, 100)
    rng = np.random.default_rng(0)
    ids = {name: rng.integers(0, ROWS, BATCH * steps, dtype=np.int32) for name in ("user", "item")}
    data = BlockWindow(ids).batches(BATCH)

    bare = compiled()

    @tf.function
    def epoch():
        return data.reduce(0.0, lambda _, batch: bare.train_step(batch)["loss"])

    plain, together = compiled(), compiled()
    callback = StepsPerExecution()
    contenders = {
        "fit": lambda: together.fit(data, verbose=0, callbacks=[callback]),
        "fit, one step at a time": lambda: plain.fit(data, verbose=0),
        "whole epoch": lambda: float(epoch()),
    }
    timings = interleave(
        {name: seconds(work) for name, work in contenders.items()}, options.rounds, warmup=2
    )
    timings = {name: timing.divided_by(steps) for name, timing in timings.items()}
    what = f"a step of fit on a tiny model, batch {BATCH}"
    peer = "a whole epoch in one tf.function"
    yield Claim.of(
        f"{what}, StepsPerExecution()",
        peer,
        timings,
        "fit",
        "whole epoch",
        goal=1.5,
        better="lower",
    )
    yield Claim.of(
        f"{what}, one step at a time",
        peer,
        timings,
        "fit, one step at a time",
        "whole epoch",
        goal=None,
        better="lower",
    )


if __name__ == "__main__":
    main(claims, __doc__)
