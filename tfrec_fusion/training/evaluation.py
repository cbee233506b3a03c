"""A Keras callback that evaluates and adds the metrics to the epoch's logs."""

from __future__ import annotations

from collections.abc import Iterable

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.evaluation.ranking_report import evaluate_ranker


class Evaluation(keras.callbacks.Callback):
    """Evaluates after an epoch and adds `val_ndcg@10`, `val_recall@20`, ... to its logs.

    These are the metrics of the slice `total` of `tfrec_fusion.evaluation.evaluate`; a `Ranker`
    gets `val_gauc`. EarlyStopping, ModelCheckpoint and ReduceLROnPlateau can monitor them, with
    `mode="max"`: `fit` of this package's models calls this callback first, wherever it is in the
    list. Epochs without an evaluation have no such metrics: the other callbacks skip them, with a
    warning of Keras, so their patience counts evaluations.

    Args:
      split: the events to evaluate on; take `Split.validation` if the metrics steer the training.
      every: epochs between evaluations; the last epoch is always evaluated.
      k: cut-offs of the metrics.

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
            report = evaluate_ranker(
                self.model, self.split, slices=False, bootstrap=0, progress=False
            )
            logs["val_gauc"] = report.gauc
            return
        report = evaluate(
            self.model, self.split, k=self.k, slices=False, bootstrap=0, progress=False
        )
        logs |= {f"val_{metric}": value for metric, value in report.metrics["total"].items()}
