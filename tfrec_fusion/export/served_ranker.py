"""The graph of a ranker's export: string ids and context in, scores out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import History
from tfrec_fusion.export.input_checks import checked_concrete, concrete
from tfrec_fusion.models import Ranker
from tfrec_fusion.retrieval.row_table import RowTable

HISTORY = 64


class ServedRanker(tf.Module):
    """Scores from string ids; see `ranker_signatures` for what each signature takes and gives.

    It holds no Keras object: features, histories and the model's variables are variables of its
    own, and the tables from id to row are filled from the text assets.

    Args:
      model: whose `call` is exported, with its variables.
      features: `[N + 1, F]` float32, of the items as of the export, NaN where a number is missing;
        the last row is an unknown one.
      seen: `[N]` bool, whether an item was sold before.
      histories: of all users, items `[H]` and ages `[H]` float32 days in the place of times. The
        last 64 of each are read, as in training.
      users, items: files with one id a line, copied into the export.
      precision: of the trends and the ages: all but "float32" hold them as float16.

    Attributes:
      plain: signature -> function without checks, for callers in this process and for converters.
    """

    def __init__(
        self,
        model: Ranker,
        features: np.ndarray,
        seen: np.ndarray,
        histories: History,
        users: Path,
        items: Path,
        precision: str = "float32",
    ):
        super().__init__(name="served_ranker")
        spec = model.spec
        self._numbers, self._texts = list(spec.context_numbers), list(spec.context_categories)
        trends = features.shape[1] - len(spec.numbers)
        self.features = _variable(features[:, :trends], precision, "item_features")
        # Not standardised yet: years differ in the fourth digit of their logarithms.
        self.numbers = tf.Variable(features[:, trends:], trainable=False, name="item_numbers")
        # Only what is read of the histories is kept.
        histories = histories.take(np.arange(len(histories.lengths)), HISTORY)
        self.seen = tf.Variable(np.append(seen, False), trainable=False, name="item_seen")
        self._reads_history = model.reads_history
        if self._reads_history:
            self.history_splits = tf.Variable(
                histories.splits, trainable=False, name="history_splits"
            )
            # One more, so that there is something to gather where no user has a history.
            self.history_items = tf.Variable(
                np.append(histories.items, np.int32(-1)), trainable=False, name="history_items"
            )
            ages = np.append(histories.times, np.float32(0))
            self.history_ages = _variable(ages, precision, "history_ages")
        self.user_table, self.item_table = RowTable(users), RowTable(items)
        self.context_tables = [layer.lookup_table for layer in model.lookups.values()]
        self._context_rows = model.context_rows
        self._reads_users = model.config.user != "history"
        self._logits = tf.function(lambda batch: model(batch, training=False), autograph=False)
        # Without texts: what an export to a runtime that has none starts from.
        self.by_row = self._by_row_function()
        specs = self._specs()
        self.plain = {name: concrete(*one) for name, one in specs.items()}
        self._signatures = {name: checked_concrete(*one) for name, one in specs.items()}
        # What the model reads has to hang on the module to be saved with it.
        self.model_variables = list(self.plain["score"].graph.variables)

    @property
    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signature name -> function, for `tf.saved_model.save`."""
        return dict(self._signatures)

    def _specs(self) -> dict[str, tuple[Callable, dict[str, tf.TensorSpec]]]:
        """Signature name -> its function, which does not check, and its inputs."""

        def text(name, rank):
            return tf.TensorSpec([None] * rank, tf.string, name)

        ids = {"user_id": text("user_id", 1), "item_id": text("item_id", 2)}
        context = {name: tf.TensorSpec([None], tf.float32, name) for name in self._numbers}
        context |= {name: text(name, 1) for name in self._texts}
        examples = {"inputs": text("inputs", 1)}
        return {
            "serving_default": (self._score, ids | context),
            "score": (self._score, ids | {"history": text("history", 2)} | context),
            "classify": (self._classify, examples),
            "regress": (self._regress, examples),
        }

    def _score(self, user_id, item_id, history=None, **context):
        if history is None:
            history = tf.fill([tf.shape(user_id)[0], 0], "")
        users, items = self.user_table.lookup(user_id), self.item_table.lookup(item_id)
        past, ages = self._history(users, history)
        context |= {name: self._context_rows(name, context[name]) for name in self._texts}
        rows = {"user": users, "item": items, "history": past, "history_age": ages, **context}
        return self.by_row(**{name: rows[name] for name in self._row_inputs})

    def _by_row_function(self) -> tf.types.experimental.ConcreteFunction:
        """As `_score`, from rows and the ages of the history in days; -1 is an unknown row.

        It takes only what the model reads.
        """

        def spec(name, rank, dtype=tf.int32):
            return tf.TensorSpec([None] * rank, dtype, name)

        inputs = [spec("item", 2)]
        if self._reads_users:
            inputs.append(spec("user", 1))
        if self._reads_history:
            inputs += [spec("history", 2), spec("history_age", 2, tf.float32)]
        inputs += [spec(name, 1, tf.float32) for name in self._numbers]
        inputs += [spec(name, 1) for name in self._texts]
        self._row_inputs = [each.name for each in inputs]
        function = tf.function(self._score_rows, autograph=False)
        return function.get_concrete_function(**{each.name: each for each in inputs})

    def _score_rows(self, **inputs):
        items = inputs["item"]
        rows = tf.where(items < 0, tf.shape(self.features)[0] - 1, items)
        trends = tf.cast(tf.gather(self.features, rows), tf.float32)
        features = tf.concat([trends, tf.gather(self.numbers, rows)], 2)
        seen = tf.gather(self.seen, rows)
        unknown = tf.fill(tf.shape(items)[:1], -1)
        logits = self._logits(
            {"user": unknown, "item_features": features, "item_seen": seen, **inputs}
        )
        return {"score": logits, "probability": tf.sigmoid(logits)}

    def _history(self, users, history) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows and ages `[B, L]` of the history in use, -1 where there is nothing."""
        batch = tf.shape(users)[0]
        if not self._reads_history:
            return tf.zeros([batch, 0], tf.int32), tf.zeros([batch, 0])
        asked = _distinct(self.item_table.lookup(history))
        baked_users = tf.where(tf.reduce_any(history != "", 1), -1, users)
        known = tf.maximum(baked_users, 0)
        begin = tf.gather(self.history_splits, known)[:, None]
        end = tf.gather(self.history_splits, known + 1)[:, None]
        place = end - HISTORY + tf.range(HISTORY, dtype=tf.int64)
        real = (place >= begin) & (baked_users >= 0)[:, None]
        place = tf.maximum(place, 0)
        baked = tf.where(real, tf.gather(self.history_items, place), -1)
        ages = tf.where(real, tf.cast(tf.gather(self.history_ages, place), tf.float32), 0.0)
        nothing = tf.zeros_like(asked, tf.float32)
        return tf.concat([baked, asked], 1), tf.concat([ages, nothing], 1)

    def _probability(self, inputs) -> tf.Tensor:
        """Of serialized examples `[B]`, `[B]` float32."""
        one = {name: tf.io.FixedLenFeature([], tf.string, "") for name in ("user_id", *self._texts)}
        one["item_id"] = tf.io.FixedLenFeature([], tf.string)
        numbers = {
            name: tf.io.FixedLenFeature([], tf.float32, float("nan")) for name in self._numbers
        }
        many = {"history": tf.io.VarLenFeature(tf.string)}
        parsed = tf.io.parse_example(inputs, {**one, **numbers, **many})
        parsed["history"] = tf.sparse.to_dense(parsed["history"], "")
        parsed["item_id"] = parsed["item_id"][:, None]
        return self._score(**parsed)["probability"][:, 0]

    def _classify(self, inputs):
        taken = self._probability(inputs)
        classes = tf.tile([["0", "1"]], [tf.shape(inputs)[0], 1])
        return {"classes": classes, "scores": tf.stack([1.0 - taken, taken], 1)}

    def _regress(self, inputs):
        return {"outputs": self._probability(inputs)}


def _variable(values: np.ndarray, precision: str, name: str) -> tf.Variable:
    """A few columns or ages, which are of very different sizes: float16 where not float32."""
    if precision != "float32":
        largest = np.finfo(np.float16).max
        values = np.clip(values, -largest, largest).astype(np.float16)
    return tf.Variable(values, trainable=False, name=name)


def _distinct(rows: tf.Tensor) -> tf.Tensor:
    """Rows `[B, H]` with -1 for those that stand further left as well."""
    width = tf.shape(rows)[1]
    same = rows[:, :, None] == rows[:, None, :]
    earlier = tf.range(width)[None, :] < tf.range(width)[:, None]
    return tf.where(tf.reduce_any(same & earlier, 2), -1, rows)
