"""A full evaluation within Keras's logs."""

from __future__ import annotations

from collections.abc import Iterable

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.evaluation.ranking_report import evaluate_ranker


class Evaluation(keras.callbacks.Callback):
    """Adds `val_ndcg@10`, `val_recall@20` and the like to an epoch's logs.

    They are the total's metrics of `tfrec_fusion.evaluation.evaluate`, of a `Ranker` `val_gauc`.
    EarlyStopping, ModelCheckpoint and ReduceLROnPlateau then work on them, with `mode="max"`;
    `fit` of this package's models calls this one first, wherever it stands in the list. In epochs
    without an evaluation the logs lack them and these callbacks wait, with a warning of Keras, so
    that their patience counts evaluations.

    Args:
      split: what is evaluated; that of `Split.validation` where it decides on the training.
      every: epochs between evaluations; there is one after the last too.
      k: cut-offs.

    Raises:
      InputError: `every` is not positive.

    Example:
      >>> part = split.validation()
      >>> stop = keras.callbacks.EarlyStopping("val_ndcg@10", mode="max", patience=2)
      >>> both = [Evaluation(part), stop]
      >>> history = model.fit(part.train.batches(512), epochs=3, callbacks=both, verbose=0)
      >>> "val_ndcg@10" in history.history
      True
    """

    fills_logs = True

    def __init__(self, split: Split, every: int = 1, k: Iterable[int] = (10, 20)):
        super().__init__()
        if every < 1:
            raise InputError(f"Evaluation: every must be at least 1. Received: {every}")
        self.split, self.every, self.k = split, every, tuple(k)

    def on_epoch_end(self, epoch, logs=None):
        last = epoch + 1 == self.params["epochs"]
        if logs is None or not (last or (epoch + 1) % self.every == 0):
            return
        if not getattr(self.model, "ranks_catalogue", True):
            logs["val_gauc"] = evaluate_ranker(self.model, self.split).gauc
            return
        report = evaluate(self.model, self.split, k=self.k, slices=False, bootstrap=0)
        logs |= {f"val_{metric}": value for metric, value in report.metrics["total"].items()}
