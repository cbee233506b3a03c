"""The one form of a retrieval training batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfrec_fusion._compat import tf


class ExampleBatch:
    """Builds batches of `(history -> targets)` examples as dicts of flat arrays.

    B users, H history events, T targets, M masked scores, C candidates, F features:

    - `user` `[B]` int32; `weight` `[B]` float32;
    - `history_item` `[H]` int32, `history_row` `[H]` int32 (ascending position in the batch),
      `history_age` `[H]` float32 days before the cut, 0 without times;
    - `target` `[T, 2]` int32 pairs (position in the batch, position among the candidates), by row;
    - `masked` `[M, 2]` int32 pairs likewise: the scores of what the user already had;
    - `item_features` `[C, F]` float32 and `is_warm` `[C]` bool, as of the cut;
    - with sampled candidates also `candidate` `[C]` int32 item rows and `log_q` `[C]` float32, the
      log of the expected number of times a candidate is drawn. Without, candidate j is item j.
    """

    @staticmethod
    def signature(n_features: int, sampled: bool) -> dict[str, tf.TensorSpec]:
        """Element spec of a dataset of such batches."""
        spec = {
            "user": tf.TensorSpec([None], tf.int32),
            "weight": tf.TensorSpec([None], tf.float32),
            "history_item": tf.TensorSpec([None], tf.int32),
            "history_row": tf.TensorSpec([None], tf.int32),
            "history_age": tf.TensorSpec([None], tf.float32),
            "target": tf.TensorSpec([None, 2], tf.int32),
            "masked": tf.TensorSpec([None, 2], tf.int32),
            "item_features": tf.TensorSpec([None, n_features], tf.float32),
            "is_warm": tf.TensorSpec([None], tf.bool),
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
    ) -> dict[str, np.ndarray]:
        """A batch from index ranges into `items`.

        Args:
          users: `[B]` rows.
          history, targets: `(rows, index)`, each `[H]` / `[T]`: position in the batch and index
            into `items` (and into the times behind `ages`).
          items: item rows of all events.
          ages: index -> days before the cut; None without times.
          weight: `[B]`.
          features, seen: of all items.
          candidates: how many items to sample, or None for all.
          rng: source of the sample.
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
        }
        if candidates is None:
            return batch | {
                "target": np.stack([target_row, target_item], 1).astype(np.int32),
                "masked": np.stack([rows, history_item], 1).astype(np.int32),
                "item_features": features,
                "is_warm": seen,
            }
        candidate, log_q = _sample(target_item, len(seen), candidates, rng)
        position = np.full(len(seen), -1, np.int32)
        position[candidate] = np.arange(len(candidate), dtype=np.int32)
        masked = position[history_item]
        drawn = masked >= 0
        return batch | {
            "target": np.stack([target_row, position[target_item]], 1).astype(np.int32),
            "masked": np.stack([rows[drawn], masked[drawn]], 1).astype(np.int32),
            "item_features": features[candidate],
            "is_warm": seen[candidate],
            "candidate": candidate.astype(np.int32),
            "log_q": log_q.astype(np.float32),
        }


def _sample(targets: np.ndarray, n_items: int, count: int, rng: np.random.Generator):
    """Candidates of a batch: its own targets and `count` uniform draws, each item once.

    The expected count of an item is its share of the targets times their number, plus its share of
    the uniform draws: the logQ of the cut's own targets, mixed with uniform.
    """
    drawn = rng.integers(0, n_items, count)
    candidate, inverse = np.unique(np.concatenate([targets, drawn]), return_inverse=True)
    own = np.bincount(inverse[: len(targets)], minlength=len(candidate))
    return candidate, np.log(own + count / n_items)


def ranges(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For ranges `[start_i, stop_i)`: each element's range number and its index, in order."""
    lengths = stop - start
    rows = np.repeat(np.arange(len(lengths)), lengths)
    offsets = np.cumsum(lengths) - lengths
    return rows, np.arange(lengths.sum()) - offsets[rows] + start[rows]
