"""The format of batches for retrieval models."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.examples.item_sampler import ItemSampler
from tfrec_fusion.features.context import CONTEXT_FIELDS
from tfrec_fusion.features.history_events import EVENT_FIELDS
from tfrec_fusion.features.side import Side


class ExampleBatch:
    """Builds batches of `(history -> targets)` examples as dicts of flat arrays.

    For B users, H history events, T targets, M masked candidates, C candidates and F features:

    - `user` `[B]` int32; `weight` `[B]` float32;
    - `history_item` `[H]` int32, `history_row` `[H]` int32 (position in the batch, ascending),
      `history_age` `[H]` float32: days before the cut, 0 without times;
    - `target` `[T, 2]` int32 pairs (position in the batch, position among the candidates),
      ascending by position in the batch;
    - `masked` `[M, 2]` int32 pairs likewise: candidates that the user already has; absent if
      repeated events count;
    - `item_features` `[C, F]` float32 and `is_warm` `[C]` bool, as of the cut;
    - only with context features, `context_categories` `[B, width]` int32 and `context_numbers`
      `[B, N]` float32: the encoded context of each user's first target;
    - only with features of events, `event_categories` `[H, width]` int32 and `event_numbers`
      `[H, N]` float32: the encoded features of the history's events;
    - only with sampled candidates, `candidate` `[C]` int32 item rows and `log_q` `[C]` float32, the
      log of the expected number of draws of each candidate. Otherwise candidate j is item j.
    """

    @staticmethod
    def signature(
        n_features: int,
        sampled: bool,
        context: Side | None = None,
        masked: bool = True,
        event: Side | None = None,
    ) -> dict[str, tf.TensorSpec]:
        """Returns the element spec of a dataset of such batches."""
        spec = {
            "user": tf.TensorSpec([None], tf.int32),
            "weight": tf.TensorSpec([None], tf.float32),
            "history_item": tf.TensorSpec([None], tf.int32),
            "history_row": tf.TensorSpec([None], tf.int32),
            "history_age": tf.TensorSpec([None], tf.float32),
            "target": tf.TensorSpec([None, 2], tf.int32),
            "item_features": tf.TensorSpec([None, n_features], tf.float32),
            "is_warm": tf.TensorSpec([None], tf.bool),
        }
        if masked:
            spec["masked"] = tf.TensorSpec([None, 2], tf.int32)
        for side, names in ((context, CONTEXT_FIELDS), (event, EVENT_FIELDS)):
            if side is not None:
                shapes = ([None, side.width], tf.int32), ([None, side.n_numbers], tf.float32)
                spec |= {
                    name: tf.TensorSpec(*of_name)
                    for name, of_name in zip(names, shapes, strict=True)
                }
        if sampled:
            spec["candidate"] = tf.TensorSpec([None], tf.int32)
            spec["log_q"] = tf.TensorSpec([None], tf.float32)
        return spec

    @staticmethod
    def build(
        *,
        users: np.ndarray,
        history: tuple[np.ndarray, np.ndarray],
        targets: tuple[np.ndarray, np.ndarray],
        items: np.ndarray,
        ages: Callable[[np.ndarray], np.ndarray] | None,
        weight: np.ndarray,
        features: np.ndarray,
        seen: np.ndarray,
        candidates: int | None,
        rng: np.random.Generator,
        mask_history: bool = True,
        context: Mapping[str, np.ndarray] | None = None,
        events: Mapping[str, np.ndarray] | None = None,
        sampler: ItemSampler | None = None,
    ) -> dict[str, np.ndarray]:
        """Builds one batch.

        Args:
          users: `[B]` user rows.
          history, targets: `(rows, index)`, each `[H]` or `[T]`: positions in the batch, and
            indices into `items` (which are also the argument of `ages`).
          items: item rows of all events.
          ages: function from indices to days before the cut; None without times.
          weight: `[B]`.
          features: `[n_items, F]`, of all items.
          seen: `[n_items]` bool, the warm items.
          candidates: number of items to sample, or None for the whole catalogue.
          rng: generator for the sample.
          mask_history: whether items of the history are masked candidates.
          context: field -> encoded context `[B, ...]`; None without context features.
          events: field -> encoded features of the events of `items`, at least of the histories;
            None without features of events.
          sampler: draws the sample; None draws uniformly.
        """
        rows, index = history
        history_item = items[index]
        target_row, target_item = targets[0], items[targets[1]]
        batch = {
            "user": users,
            "weight": weight.astype(np.float32),
            "history_item": history_item,
            "history_row": rows.astype(np.int32),
            "history_age": np.zeros(len(index), np.float32)
            if ages is None
            else ages(index).astype(np.float32),
            **(context or {}),
            **{name: values[index] for name, values in (events or {}).items()},
        }
        if candidates is None:
            if mask_history:
                batch["masked"] = np.stack([rows, history_item], 1).astype(np.int32)
            return batch | {
                "target": np.stack([target_row, target_item], 1).astype(np.int32),
                "item_features": features,
                "is_warm": seen,
            }
        if sampler is None:
            sampler = ItemSampler("uniform", np.zeros(len(seen)))
        candidate, log_q = _sample(target_item, candidates, sampler, rng)
        position = np.full(len(seen), -1, np.int32)
        position[candidate] = np.arange(len(candidate), dtype=np.int32)
        if mask_history:
            masked = position[history_item]
            drawn = masked >= 0
            batch["masked"] = np.stack([rows[drawn], masked[drawn]], 1).astype(np.int32)
        return batch | {
            "target": np.stack([target_row, position[target_item]], 1).astype(np.int32),
            "item_features": features[candidate],
            "is_warm": seen[candidate],
            "candidate": candidate.astype(np.int32),
            "log_q": log_q.astype(np.float32),
        }


def _sample(targets: np.ndarray, count: int, sampler: ItemSampler, rng: np.random.Generator):
    """Samples the candidates of a batch: its targets and `count` draws, each item once.

    The expected count of an item, whose log is log-q, is its number of targets in the batch plus
    its expected number of draws.
    """
    drawn = sampler(count, rng)
    candidate, inverse = np.unique(np.concatenate([targets, drawn]), return_inverse=True)
    own = np.bincount(inverse[: len(targets)], minlength=len(candidate))
    return candidate, np.log(own + count * sampler.shares[candidate])


def ranges(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flattens ranges `[start_i, stop_i)`: returns each element's i and its value, in order."""
    lengths = stop - start
    rows = np.repeat(np.arange(len(lengths)), lengths)
    offsets = np.cumsum(lengths) - lengths
    return rows, np.arange(lengths.sum()) - offsets[rows] + start[rows]
