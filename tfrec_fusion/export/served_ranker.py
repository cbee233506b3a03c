"""The graph of a ranker's export: string ids and context in, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import History
from tfrec_fusion.export.saving import variables_of
from tfrec_fusion.export.semantics import RANKER_SEMANTICS
from tfrec_fusion.export.signatures import RANKER_SIGNATURES
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.models.serving.ranker_serving import half_variable
from tfrec_fusion.models.serving.row_serving import RowServing
from tfrec_fusion.retrieval.row_table import RowTable
from tfrec_fusion.signature import Signature


class ServedRanker(tf.Module):
    """Scores from string ids; see `RANKER_SIGNATURES` for what it takes and gives.

    It holds no Keras object: features, histories and the model's variables are variables of its
    own, and the tables from id to row are filled from the text assets.

    Args:
      serving: the model's side, over rows of users and items; its variables come into the export.
      histories: of all users, items `[H]` and ages `[H]` float32 days in the place of times. The
        last of each are read, as in training.
      users, items: files with one id a line, copied into the export.
      precision: of the ages: all but "float32" hold them as float16.
      signatures: those of it.

    Attributes:
      described: what its signatures say of themselves.
      numbers, texts: the columns of the context.
      plain: signature -> function without checks, for callers in this process and for converters.
    """

    ranks_catalogue = False
    semantics = RANKER_SEMANTICS

    def __init__(
        self,
        serving: RowServing,
        histories: History,
        users: Path,
        items: Path,
        precision: str = "float32",
        signatures: Sequence[type[ServedSignature]] = RANKER_SIGNATURES,
    ):
        super().__init__(name="served_ranker")
        self.serving = serving
        self.numbers, self.texts = serving.numbers, serving.texts
        if serving.reads_history:
            # Only what is read of the histories is kept.
            users_of_all = np.arange(len(histories.lengths))
            histories = histories.take(users_of_all, serving.history_length)
            self.history_splits = tf.Variable(
                histories.splits, trainable=False, name="history_splits"
            )
            # One more, so that there is something to gather where no user has a history.
            self.history_items = tf.Variable(
                np.append(histories.items, np.int32(-1)), trainable=False, name="history_items"
            )
            ages = np.append(histories.times, np.float32(0))
            self.history_ages = half_variable(ages, precision, "history_ages")
        self.user_table, self.item_table = RowTable(users), RowTable(items)
        self.context_tables = list(serving.context_tables)
        # Without texts: what an export to a runtime that has none starts from.
        self.by_row = self._by_row_function()
        offered = [one(self) for one in signatures if one.is_offered(self)]
        self.described: tuple[Signature, ...] = tuple(one.described for one in offered)
        self.plain = {one.name: one.concrete(checked=False) for one in offered}
        self._signatures = {one.name: one.concrete(checked=True) for one in offered}
        # What the model reads has to hang on the module to be saved with it.
        self.read_variables = variables_of(self.plain.values())

    @property
    def context(self) -> dict[str, str]:
        """Column of the context -> what it holds, "number" or "text"."""
        return dict.fromkeys(self.numbers, "number") | dict.fromkeys(self.texts, "text")

    @property
    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signature name -> function, for `tf.saved_model.save`."""
        return dict(self._signatures)

    def scores(self, user_id, item_id, history=None, **context) -> dict[str, tf.Tensor]:
        """Score and probability `[B, N]` float32.

        Args:
          user_id, item_id, history: `[B]`, `[B, N]` and `[B, H]` string; without a history, the
            baked ones.
          **context: `[B]`, its columns.
        """
        if history is None:
            history = tf.fill([tf.shape(user_id)[0], 0], "")
        users, items = self.user_table.lookup(user_id), self.item_table.lookup(item_id)
        past, ages = self._history(users, history)
        context |= {name: self.serving.context_rows(name, context[name]) for name in self.texts}
        rows = {"user": users, "item": items, "history": past, "history_age": ages, **context}
        return self.by_row(**{name: rows[name] for name in self._row_inputs})

    def _by_row_function(self) -> tf.types.experimental.ConcreteFunction:
        """As `scores`, from rows and the ages of the history in days; -1 is an unknown row.

        It takes only what the model reads.
        """

        def spec(name, rank, dtype=tf.int32):
            return tf.TensorSpec([None] * rank, dtype, name)

        inputs = [spec("item", 2)]
        if self.serving.reads_users:
            inputs.append(spec("user", 1))
        if self.serving.reads_history:
            inputs += [spec("history", 2), spec("history_age", 2, tf.float32)]
        inputs += [spec(name, 1, tf.float32) for name in self.numbers]
        inputs += [spec(name, 1) for name in self.texts]
        self._row_inputs = [each.name for each in inputs]
        function = tf.function(self._score_rows, autograph=False)
        return function.get_concrete_function(**{each.name: each for each in inputs})

    def _score_rows(self, **inputs):
        logits = self.serving.scores(inputs)
        return {"score": logits, "probability": tf.sigmoid(logits)}

    def _history(self, users, history) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows and ages `[B, L]` of the history in use, -1 where there is nothing."""
        batch = tf.shape(users)[0]
        if not self.serving.reads_history:
            return tf.zeros([batch, 0], tf.int32), tf.zeros([batch, 0])
        asked = _distinct(self.item_table.lookup(history))
        baked_users = tf.where(tf.reduce_any(history != "", 1), -1, users)
        known = tf.maximum(baked_users, 0)
        begin = tf.gather(self.history_splits, known)[:, None]
        end = tf.gather(self.history_splits, known + 1)[:, None]
        length = self.serving.history_length
        place = end - length + tf.range(length, dtype=tf.int64)
        real = (place >= begin) & (baked_users >= 0)[:, None]
        place = tf.maximum(place, 0)
        baked = tf.where(real, tf.gather(self.history_items, place), -1)
        ages = tf.where(real, tf.cast(tf.gather(self.history_ages, place), tf.float32), 0.0)
        nothing = tf.zeros_like(asked, tf.float32)
        return tf.concat([baked, asked], 1), tf.concat([ages, nothing], 1)


def _distinct(rows: tf.Tensor) -> tf.Tensor:
    """Rows `[B, H]` with -1 for those that stand further left as well."""
    width = tf.shape(rows)[1]
    same = rows[:, :, None] == rows[:, None, :]
    earlier = tf.range(width)[None, :] < tf.range(width)[:, None]
    return tf.where(tf.reduce_any(same & earlier, 2), -1, rows)
