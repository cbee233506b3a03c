"""Shares of positive labels among the events of users and items."""

from __future__ import annotations

from typing import Self

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError

LABEL_RATES = "label_rates"  # a field of batches
COLUMNS = 2  # a side
_SMOOTHING = 5.0  # events at the mean rate


class LabelRates:
    """How often a user likes what they see, and an item is liked, by the labels of earlier events.

    With n events of a user or an item, p of them positive, and the share m of positives among all,
    its two numbers are the smoothed share `(p + 5 m) / (n + 5)`, and `log(1 + n)`. This is target
    encoding (Micci-Barreca, SIGKDD Explorations 2001) of the two ids.

    Args:
      positives: the positive events that count.
      impressions: the others.

    Attributes:
      user, item: rows of both kinds of events of known users `[n]` int32.
      positive: 1 for a positive, else 0 `[n]` float64.
      event_times: unix times `[n]`; empty without.
      mean: the share m.
      n_users, n_items: sizes of the vocabularies.

    Raises:
      InputError: there is no impression, or no event of a known user.

    Example:
      >>> frame = pd.DataFrame({"user_id": list("uuv"), "item_id": list("abb"), "label": [1, 0, 1]})
      >>> items = tff.data.Catalogue(pd.DataFrame({"item_id": list("ab")}))
      >>> events = tff.data.Interactions.from_frame(frame, items)
      >>> LabelRates.of(events).of_items().round(2)  # the last row: an unknown item
      array([[0.72, 0.69],
             [0.62, 1.1 ],
             [0.67, 0.  ]], dtype=float32)
    """

    def __init__(self, positives: Interactions, impressions: Interactions | None):
        if impressions is None or not len(impressions):
            raise InputError(
                "label_rates: no event has a label of 0 or less, so all rates would be 1; read "
                "the events with a column 'label' and their impressions, or leave label_rates out. "
                f"Received: {len(positives)} positives"
            )
        parts = (positives, impressions)
        self.user = np.concatenate([one.user for one in parts])
        known = self.user >= 0
        if not known.any():
            raise InputError(f"label_rates: none of the {len(known)} events is of a known user")
        self.user = self.user[known]
        self.item = np.concatenate([one.item for one in parts])[known]
        self.positive = np.repeat([1.0, 0.0], [len(one) for one in parts])[known]
        self.event_times = np.zeros(0)
        if positives.timestamp is not None:
            self.event_times = np.concatenate([one.event_times for one in parts])[known]
        self.mean = float(self.positive.mean())
        self.n_users, self.n_items = len(positives.users), len(positives.catalogue)

    @classmethod
    def of(cls, events: Interactions) -> Self:
        """Counts the `counted_events` and impressions among `events`."""
        counted = events.counted_events(impressions=True)
        shown = counted.is_impression
        return cls(counted.select(~shown), counted.select(shown))

    def of_users(self, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Returns `[n_users + 1, 2]` float32 from the chosen `events`; the last is unknown."""
        return self._table(self.user, self.n_users, chosen)

    def of_items(self, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Returns `[n_items + 1, 2]` float32, as `of_users`."""
        return self._table(self.item, self.n_items, chosen)

    def numbers(self, positives, counts) -> tf.Tensor:
        """Computes the two numbers `[..., 2]` float32 of p and n `[...]`, arrays or tensors."""
        positives, counts = (tf.cast(one, tf.float32) for one in (positives, counts))
        rate = (positives + _SMOOTHING * self.mean) / (counts + _SMOOTHING)
        return tf.stack([rate, tf.math.log1p(counts)], -1)

    def _table(self, rows: np.ndarray, size: int, chosen) -> np.ndarray:
        rows, positive = rows[chosen], self.positive[chosen]
        counts = np.bincount(rows, minlength=size + 1)
        return self.numbers(np.bincount(rows, positive, minlength=size + 1), counts).numpy()
