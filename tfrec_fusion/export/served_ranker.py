"""The graph of an exported ranker: string ids and context in, scores out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import History
from tfrec_fusion.export.history_ages import history_ages
from tfrec_fusion.export.saving import variables_of
from tfrec_fusion.export.semantics import RANKER_SEMANTICS, feature_semantics, history_semantics
from tfrec_fusion.export.signatures import RANKER_SIGNATURES
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import HISTORY_AGE, neutral_inputs
from tfrec_fusion.models.serving.ranker_serving import half_variable
from tfrec_fusion.models.serving.row_serving import RowServing
from tfrec_fusion.retrieval.row_table import RowTable
from tfrec_fusion.signature import Signature, Tensor


class ServedRanker(tf.Module):
    """Scores items by string ids; its signatures are `RANKER_SIGNATURES`.

    It holds no Keras object: features, histories and the model's variables are its own variables,
    and the lookup tables from id to row are filled from text assets.

    Args:
      serving: the model over rows of users and items; its variables are saved in the export.
      histories: of all users: items `[H]` and, as times, ages `[H]` float32 in days. The last
        `serving.history_length` of each user are read, as in training.
      users, items: files with one id a line, copied into the export.
      precision: precision of the ages: "float32", or float16 for any other.
      signatures: signature classes.

    Attributes:
      described: `Signature` of each of its signatures.
      age_inputs, feature_inputs: the inputs of a request that give the ages of its history, and
        features.
      plain: signature -> function without shape checks, for callers in this process and for
        converters.
    """

    ranks_catalogue = False

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
        if serving.reads_history:
            # Stores only the part of the histories that the model reads.
            users_of_all = np.arange(len(histories.lengths))
            histories = histories.take(users_of_all, serving.history_length)
            self.history_splits = tf.Variable(
                histories.splits, trainable=False, name="history_splits"
            )
            # One entry more, so that gathering works if no user has a history.
            self.history_items = tf.Variable(
                np.append(histories.items, np.int32(-1)), trainable=False, name="history_items"
            )
            if serving.events is not None:
                self.history_events = tf.Variable(
                    np.append(histories.events, np.int32(-1)),
                    trainable=False,
                    name="history_events",
                )
            ages = np.append(histories.times, np.float32(0))
            self.history_ages = half_variable(ages, precision, "history_ages")
        self.user_table, self.item_table = RowTable(users), RowTable(items)
        # Takes rows instead of strings, for runtimes without string lookups (LiteRT).
        self.by_row = self._by_row_function()
        self._of_request = self._of_request_function()
        offered = [one(self) for one in signatures if one.is_offered(self)]
        self.described: tuple[Signature, ...] = tuple(one.described for one in offered)
        self.plain = {one.name: one.concrete(checked=False) for one in offered}
        self._signatures = {one.name: one.concrete(checked=True) for one in offered}
        # Variables are saved only if they are attributes of the module.
        self.read_variables = variables_of(self.plain.values())

    @property
    def age_inputs(self) -> tuple[Tensor, ...]:
        return (HISTORY_AGE,) if self.serving.reads_ages else ()

    @property
    def feature_inputs(self) -> tuple[Tensor, ...]:
        return () if self.serving.requested is None else self.serving.requested.inputs

    @property
    def semantics(self) -> tuple[str, ...]:
        """What the answers of all signatures mean, as sentences for the model card."""
        ages = history_semantics(self.serving.reads_ages)
        given = feature_semantics(self.serving.requested, self.serving.events)
        return RANKER_SEMANTICS + ages + given

    @property
    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signature name -> function, for `tf.saved_model.save`."""
        return dict(self._signatures)

    def scores(
        self, user_id, item_id, history=None, history_age=None, **given
    ) -> dict[str, tf.Tensor]:
        """The model's answers by name, "score" `[B, N]` float32 among them.

        Args:
          user_id, item_id, history: `[B]`, `[B, N]` and `[B, H]` string; None as history uses the
            stored ones.
          history_age: `[B, A]` float32; None for no ages.
          **given: any of `feature_inputs`.
        """
        features = neutral_inputs(self.feature_inputs, tf.shape(user_id)[0]) | given
        if history is None:
            history = tf.fill([tf.shape(user_id)[0], 0], "")
        users, items = self.user_table.lookup(user_id), self.item_table.lookup(item_id)
        past, ages, events = self._history(users, history, history_age)
        of_history = {"history": past, "history_age": ages, "history_event": events}
        rows = {"user": users, "item": items, **of_history}
        rows = {name: rows[name] for name in self._row_inputs}
        return self._of_request(**rows, **features)

    def _of_request_function(self) -> tf.types.experimental.ConcreteFunction:
        """Like `scores`, from rows of users and items (-1 is unknown) and ages in days."""
        requested = self.serving.requested

        def scores(inputs, given):
            fields = {} if requested is None else requested.fields(_users(inputs), given)
            return self.serving.answers(inputs | fields)

        return self._concrete(scores, self.feature_inputs)

    def _by_row_function(self) -> tf.types.experimental.ConcreteFunction:
        """The same with the context in rows too, and without features of users."""
        requested = self.serving.requested

        def scores(inputs, given):
            fields = {} if requested is None else requested.fields_of_rows(_users(inputs), given)
            return self.serving.answers(inputs | fields)

        return self._concrete(scores, () if requested is None else requested.row_inputs)

    def _concrete(
        self, scores: Callable, given: Sequence[Tensor]
    ) -> tf.types.experimental.ConcreteFunction:
        """A function of the rows that the model reads, and of given features."""

        def spec(name, rank, dtype=tf.int32):
            return tf.TensorSpec([None] * rank, dtype, name)

        rows = [spec("item", 2)]
        if self.serving.reads_users:
            rows.append(spec("user", 1))
        if self.serving.reads_history:
            rows += [spec("history", 2), spec("history_age", 2, tf.float32)]
        if self.serving.events is not None:
            rows.append(spec("history_event", 2))
        self._row_inputs = [each.name for each in rows]

        def of_names(**inputs):
            features = {tensor.name: inputs.pop(tensor.name) for tensor in given}
            return scores(inputs, features)

        specs = [*rows, *(tf.TensorSpec(one.sizes, one.dtype, one.name) for one in given)]
        function = tf.function(of_names, autograph=False)
        return function.get_concrete_function(**{each.name: each for each in specs})

    def _history(
        self, users, history, history_age=None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Rows and ages `[B, L]` of the history in use, padded with -1, and rows of its events."""
        batch = tf.shape(users)[0]
        if not self.serving.reads_history:
            return tf.zeros([batch, 0], tf.int32), tf.zeros([batch, 0]), None
        asked = self.item_table.lookup(history)
        asked_ages = tf.zeros_like(asked, tf.float32)
        if history_age is not None and self.serving.reads_ages:
            asked_ages = history_ages(history_age, tf.shape(history)[1])
            order = tf.argsort(asked_ages, direction="DESCENDING", stable=True)
            asked, asked_ages = (tf.gather(v, order, batch_dims=1) for v in (asked, asked_ages))
        asked = _distinct(asked)
        baked_users = tf.where(tf.reduce_any(history != "", 1), -1, users)
        known = tf.maximum(baked_users, 0)
        begin = tf.gather(self.history_splits, known)[:, None]
        end = tf.gather(self.history_splits, known + 1)[:, None]
        length = self.serving.history_length
        place = end - length + tf.range(length, dtype=tf.int64)
        real = (place >= begin) & (baked_users >= 0)[:, None]
        place = tf.maximum(place, 0)
        stored = tf.where(real, tf.gather(self.history_items, place), -1)
        ages = tf.where(real, tf.cast(tf.gather(self.history_ages, place), tf.float32), 0.0)
        events = None
        if self.serving.events is not None:
            events = tf.where(real, tf.gather(self.history_events, place), -1)
            events = tf.concat([events, -tf.ones_like(asked)], 1)
        return tf.concat([stored, asked], 1), tf.concat([ages, asked_ages], 1), events


def _users(inputs) -> tf.Tensor:
    """Rows `[B]`; unknown ones if the model reads no users."""
    unknown = tf.fill(tf.shape(inputs["item"])[:1], -1)
    return inputs.get("user", unknown)


def _distinct(rows: tf.Tensor) -> tf.Tensor:
    """Rows `[B, H]`, where repetitions of an earlier row become -1."""
    width = tf.shape(rows)[1]
    same = rows[:, :, None] == rows[:, None, :]
    earlier = tf.range(width)[None, :] < tf.range(width)[:, None]
    return tf.where(tf.reduce_any(same & earlier, 2), -1, rows)
