"""A Keras callback that logs the training to TensorBoard."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.evaluation import evaluate, feature_coverage, feature_importance
from tfrec_fusion.evaluation.importance import feature_names
from tfrec_fusion.evaluation.ranking_report import evaluate_ranker
from tfrec_fusion.layers import IdEmbedding
from tfrec_fusion.paths import local_path
from tfrec_fusion.training.projector import write_projector

_PROJECTED_ITEMS = 10_000
_HISTOGRAM_ROWS = 10_000
_MEASURED_USERS = 1_000
_SLICES = ("total", "warm", "cold")


class TensorBoard(keras.callbacks.Callback):
    """Logs a training as TensorBoard events, at the steps of the optimizer.

    - `batch/...`: the losses, as means of the epoch so far, and the learning rate, every
      `update_steps` steps;
    - `epoch/...`: the model's metrics, and `epoch/examples_per_second` if it has the metric
      `examples`;
    - `total/...`, `warm/...`, `cold/...`: a full evaluation every `every` epochs and at the end
      (of a `Ranker` by `evaluate_ranker`: `total/gauc`, `total/log_loss`, ...);
    - of a model with declared features: `coverage/...` once, the share of items, users or events
      with a value of each; and `importance/...` with each full evaluation, see
      `evaluation.feature_importance`, of a few features in turn, for up to 1,000 users;
    - histograms of the embedding tables (of up to 10,000 rows) after each epoch;
    - at the end, for the projector, the frozen and the fused vectors and the titles of the 10,000
      items with the most training events;
    - the config as text.

    Args:
      logdir: folder of the events.
      split: events to evaluate on; its catalogue gives the vectors of the projector. None writes
        neither.
      every: epochs between full evaluations.
      config: written as text; the model's own config by default.
      update_steps: steps between points of `batch/...`.
      importance: number of declared features whose importance is measured with each full
        evaluation, each at the cost of one more; 0 for none.

    Example:
      >>> board = TensorBoard("logs", split=split)
      >>> history = model.fit(batches, callbacks=[board], verbose=0)
    """

    def __init__(
        self,
        logdir: str | os.PathLike,
        *,
        split: Split | None = None,
        every: int = 1,
        config: Mapping | None = None,
        update_steps: int = 10,
        importance: int = 4,
    ):
        super().__init__()
        self.logdir = str(local_path(logdir, "TensorBoard", tensorflow=True))
        self.split, self.every, self.update_steps = split, every, update_steps
        self.config, self.importance, self._measured = config, importance, 0

    def on_train_begin(self, logs=None):
        self._writer = tf.summary.create_file_writer(self.logdir)
        config = self.model.get_config() if self.config is None else self.config
        text = json.dumps(config, indent=2, default=str, ensure_ascii=False)
        with self._writer.as_default(self._step()):
            # TensorBoard renders Markdown, where an indented block is code.
            tf.summary.text("config", "".join(f"    {line}\n" for line in text.splitlines()))
            if self.split is not None and feature_names(self.model):
                for name, share in feature_coverage(self.model, self.split.train).items():
                    tf.summary.scalar(f"coverage/{name}", share)

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        step = self._step()
        if step % self.update_steps:
            return
        with self._writer.as_default(step):
            for name, value in (logs or {}).items():
                if name.endswith("loss"):
                    tf.summary.scalar(f"batch/{name}", value)
            tf.summary.scalar("batch/learning_rate", self._learning_rate())

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._started
        logs = dict(logs or {})
        examples = logs.pop("examples", None)
        with self._writer.as_default(self._step()):
            for name, value in logs.items():
                tf.summary.scalar(f"epoch/{name}", value)
            if examples is not None:
                tf.summary.scalar("epoch/examples_per_second", examples / seconds)
            self._write_histograms()
            last = epoch + 1 == self.params["epochs"]
            if self._evaluates() and (last or (epoch + 1) % self.every == 0):
                self._write_evaluation()
        self._writer.flush()

    def on_train_end(self, logs=None):
        if self.split is not None and hasattr(self.model, "tower"):
            self._write_vectors(self.split.train)
        self._writer.close()

    def _step(self) -> int:
        return int(self.model.optimizer.iterations.numpy())

    def _learning_rate(self):
        rate = self.model.optimizer.learning_rate
        if callable(rate):  # a legacy optimizer returns the schedule itself
            rate = rate(self.model.optimizer.iterations)
        return tf.cast(rate, tf.float32)

    def _evaluates(self) -> bool:
        return self.split is not None and len(self.split.test) > 0 and hasattr(self.model, "scorer")

    def _write_histograms(self) -> None:
        for layer in self.model.submodules:
            if isinstance(layer, IdEmbedding) and layer.built:
                rows = np.linspace(0, layer.n_rows - 1, min(layer.n_rows, _HISTOGRAM_ROWS))
                tf.summary.histogram(
                    f"embeddings/{layer.name}", tf.gather(layer.table, rows.astype(np.int32))
                )

    def _write_evaluation(self) -> None:
        ranks_catalogue = getattr(self.model, "ranks_catalogue", True)
        judge = evaluate if ranks_catalogue else evaluate_ranker
        report = judge(self.model, self.split, bootstrap=0, progress=False)
        for label in _SLICES:
            for metric, value in report.metrics[label].items():
                if math.isfinite(value):
                    tf.summary.scalar(f"{label}/{metric}", value)
        self._write_importance()

    def _write_importance(self) -> None:
        names = feature_names(self.model)
        count = min(self.importance, len(names))
        if not count:
            return
        turn = [names[(self._measured + place) % len(names)] for place in range(count)]
        self._measured += count
        found = feature_importance(
            self.model, self.split, features=turn, repeats=1, users=_MEASURED_USERS, bootstrap=1
        )
        for row in found.itertuples():
            tf.summary.scalar(f"importance/{row.side}/{row.feature}", row.drop)

    def _write_vectors(self, train: Interactions) -> None:
        counts = train.item_counts()
        rows = np.argsort(-counts, kind="stable")[:_PROJECTED_ITEMS].astype(np.int32)
        vectors = {name: aligned.values[rows] for name, aligned in train.catalogue.vectors.items()}
        vectors["fused"] = self.model.tower(rows, counts[rows] > 0).numpy()
        write_projector(self.logdir, vectors, train.catalogue.titles[rows])
