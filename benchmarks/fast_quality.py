"""Claim 9: fast training reaches the quality of plain training, on real data.

    python benchmarks/fast_quality.py [--quick] [--json FILE]

The data is retail with a temporal split; it has its own README and is read from TFREC_FUSION_DATA,
else ../shared/data. The same TwoTower trains on the same pairs with the blocked softmax and either
`for_tables` or `LazyAdam` (fast), and with tf_keras's Adam and the softmax over the whole matrix
(plain). Each uses the learning rate that was best for it on the last tenth of the training events.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from harness import ROOT, Claim, Options, main

DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data") / "retail"
SEEDS = 3
BATCH, EPOCHS, HISTORY = 2048, 3, 20
PLAIN, FAST, LAZY = "plain", "for_tables", "LazyAdam"
RATES = {PLAIN: (0.1,), FAST: (0.3, 3e-3), LAZY: (0.1,)}  # FAST: of tables and of other weights


def split_of(tiny: bool):
    from tfrec_fusion.data import Catalogue, Interactions

    catalogue = Catalogue.from_parquet(
        DATA / "items.parquet", vectors={"text": DATA / "minilm_384.npy"}
    )
    events = Interactions.from_parquet(DATA / "interactions.parquet", catalogue)
    if tiny:
        events = events.select(np.arange(len(events)) % 20 == 0)
    return events.split("temporal")


def trained(train, way: str, seed: int, rates: tuple[float, ...], epochs: int):
    """Trains a model in one of the ways."""
    from tfrec_fusion._compat import keras
    from tfrec_fusion.models import TwoTower
    from tfrec_fusion.optimizers import LazyAdam, WarmupCosine, for_tables

    keras.utils.set_random_seed(seed)
    batches = train.batches(BATCH, examples="pairs", history=HISTORY, seed=seed)
    model = TwoTower(train, dim=64, trend=False)
    steps = epochs * len(batches)
    schedules = [WarmupCosine(rate, steps, steps // 20) for rate in rates]
    optimizer = {PLAIN: keras.optimizers.Adam, FAST: for_tables, LAZY: LazyAdam}[way]
    model.compile(optimizer(*schedules), loss=plain_softmax() if way == PLAIN else None)
    model.fit(batches, epochs=epochs, verbose=0)
    return model


def plain_softmax():
    from tfrec_fusion._compat import tf
    from tfrec_fusion.models import Objective

    class PlainInBatchSoftmax(Objective):
        """The loss of `InBatchSoftmax`, from the whole logits matrix and TensorFlow's gradients."""

        def of_vectors(self, targets, users, items, weight=None):
            own = targets.target[:, 1]
            logits = tf.matmul(users, tf.gather(items, own), transpose_b=True)
            logits -= tf.gather(targets.log_q, own)
            labels = tf.range(tf.shape(users)[0])
            hit = (own[:, None] == own) & (labels[:, None] != labels)
            logits = tf.where(hit, -1e9, logits)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            return tf.reduce_mean(loss if weight is None else loss * weight)

    return PlainInBatchSoftmax(name="pair_softmax")


def claims(options: Options) -> Iterator[Claim]:
    from tfrec_fusion.evaluation import evaluate

    if not DATA.is_dir():
        print(f"absent: {DATA}; set TFREC_FUSION_DATA", file=sys.stderr, flush=True)
        return
    split = split_of(options.tiny)
    epochs = options.size(EPOCHS, 1, 1)
    found: dict[str, list[float]] = {way: [] for way in RATES}
    for seed in range(SEEDS):
        for way, values in found.items():
            model = trained(split.train, way, seed, RATES[way], epochs)
            report = evaluate(model, split, slices=False, bootstrap=0)
            values.append(report.metrics["total"]["ndcg@10"])
    plain = found[PLAIN]
    for way in (FAST, LAZY):
        spread = max(np.ptp(found[way]), np.ptp(plain))
        yield Claim(
            f"NDCG@10 on retail after {epochs} epochs that {way} and the blocked softmax lose, in "
            "units of the seeds' spread",
            "tf_keras Adam and the plain softmax",
            float((np.mean(plain) - np.mean(found[way])) / spread),
            1.0,
            "lower",
            rounds=SEEDS,
            detail=f"{way} {show(found[way])}; plain {show(plain)}",
        )


def show(values: list[float]) -> str:
    return f"{np.mean(values):.4f} ({', '.join(f'{value:.4f}' for value in values)})"


if __name__ == "__main__":
    main(claims, __doc__.partition("\n")[0])
