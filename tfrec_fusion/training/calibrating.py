"""Calibrates the probabilities of a ranker on events that it has not trained on."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import pandas as pd
from rich.console import Console

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.ranking_report import tested_negatives, tested_pairs
from tfrec_fusion.models import Ranker
from tfrec_fusion.models.calibration.calibration import Calibration
from tfrec_fusion.models.calibration.curve import Curve
from tfrec_fusion.models.calibration.methods import METHODS
from tfrec_fusion.models.calibration.slices import check_by, slice_codes
from tfrec_fusion.progress import WorkProgress

Method = Literal["isotonic", "platt", "temperature"]
_log = logging.getLogger(__name__)


def calibrate(
    model: Ranker,
    split: Split,
    method: Method = "isotonic",
    *,
    by: str | None = None,
    min_rows: int = 500,
    negatives: int | None = None,
    seed: int = 0,
    progress: Console | bool | None = None,
) -> Calibration:
    """Fits a calibration on the test events of a split, and makes it part of the model.

    A ranker may order items well and yet predict 20 % for what happens in 5 % of cases: training
    has another share of positives than the requests, or the times have changed. A calibration maps
    its logits to others by a rising curve, so that the order within a slice stays. It changes the
    `probability` of exports and the log loss and ECE of `evaluate_ranker`; scores stay as they
    are. It is saved with the model. Training the model again removes it.

    - "isotonic": any rising curve, a line between the centres of the blocks of an isotonic
      regression; for some thousand rows and more.
    - "platt": `a x + b` of the logit x. It corrects another share of positives and too high or
      too low a contrast.
    - "temperature": `x / T`, the contrast alone.

    Probabilities are those of the base rate of the rows: with sampled negatives, of
    `1 / (1 + negatives)`.

    Args:
      model: trained, on `split.train`.
      split: the events to calibrate on are `split.test`, with features as of the start of that
        period. Take `Split.validation()`, and evaluate on a later period.
      method: as above.
      by: what tells slices apart that get a curve of their own: "warm" for warm and cold items;
        "popularity" for cold items and those with less than a tenth of the mean popularity of an
        item, less than the mean, and more; or a category that the model's features declare, e.g.
        `context.country`, or `country` if only one side has it. The order of probabilities may
        then differ between slices.
      min_rows: slices with fewer rows, or of one label only, have the curve of all rows.
      negatives, seed, progress: as in `evaluate_ranker`.

    Returns:
      The calibration, now `model.calibration`.

    Raises:
      InputError: an unknown method or feature, no rows or rows of one label only, logits that are
        not finite, training events among the test events, a model without a binary head, or logits
        whose order is contrary to the labels.

    Example:
      >>> part = split.validation()
      >>> model = tff.models.Ranker(part.train, dim=4, hidden=[4])
      >>> batches = tff.examples.ranking_examples(part.train, 512)
      >>> model.compile("adam")
      >>> history = model.fit(batches, verbose=0)
      >>> calibration = calibrate(model, part, "isotonic", by="warm")
      >>> report = tff.evaluation.evaluate_ranker(model, split)
    """
    if method not in METHODS:
        raise InputError(
            f"calibrate: method must be one of {', '.join(METHODS)}. Received: {method!r}"
        )
    if min_rows < 1:
        raise InputError(f"calibrate: min_rows must be at least 1. Received: {min_rows}")
    if not isinstance(model, Ranker) or model.heads.taken is None:
        raise InputError(
            f"calibrate: only a Ranker with a binary head predicts a probability. "
            f"Received: {type(model).__name__}"
        )
    names = check_by(model.spec, by)
    _check_unseen(model, split)
    head = model.heads.taken
    logits, labels, codes = _rows(model, head, by, split, negatives, seed, progress)
    _check_rows(logits, labels)
    try:
        total = METHODS[method](logits, labels)
    except ValueError as error:
        raise InputError(f"calibrate: {error}") from None
    slices = {
        code: curve
        for code in names
        if (curve := _of_slice(method, logits, labels, codes == code, min_rows)) is not None
    }
    model.calibration = Calibration(
        method=method,
        head=head,
        total=total,
        by=by,
        slices=slices,
        names={code: names[code] for code in slices},
        rows=len(labels),
        base_rate=float(labels.mean()),
    )
    return model.calibration


def _of_slice(method, logits, labels, chosen, min_rows: int) -> Curve | None:
    """The curve of a slice; None if it has too few rows, or no rising curve."""
    logits, labels = logits[chosen], labels[chosen]
    if len(labels) < min_rows or not 0 < labels.sum() < len(labels):
        return None
    try:
        return METHODS[method](logits, labels)
    except ValueError:
        return None


def _check_unseen(model: Ranker, split: Split) -> None:
    """Refuses test events that are training events, and warns if the model had other ones."""
    keys = [_keys(one) for one in (split.test, split.train)]
    seen = int(keys[0].isin(keys[1]).sum())
    if seen:
        raise InputError(
            f"calibrate: {seen} of {len(split.test)} test events are among the training events; "
            "the logits of events that a model has trained on tell nothing of others; pass a split "
            f"of distinct events. Received: a split of kind {split.kind!r}"
        )
    if model.spec.users != split.train.users.fingerprint:
        _log.warning(
            "calibrate: the model was built from events of other users than split.train; if it has "
            "trained on events of split.test, its calibration is too optimistic: train it on "
            "split.train"
        )


def _keys(events: Interactions) -> pd.MultiIndex:
    """User, item and, if there is one, time of the events of known users."""
    events = events.select(events.user >= 0)
    times = [] if events.timestamp is None else [events.timestamp]
    return pd.MultiIndex.from_arrays([events.users.ids[events.user], events.item, *times])


def _rows(model, head: str, by, split: Split, negatives, seed: int, progress):
    """Logits and labels `[n]` float64, and codes of slices `[n]`, of the labelled pairs."""
    if not (split.test.user >= 0).any():
        return np.empty(0), np.empty(0), np.empty(0, np.int32)
    negatives = tested_negatives(split, negatives, "calibrate")
    batches = tested_pairs(model, split, negatives, seed)
    one = model.heads[head]

    @tf.function(reduce_retracing=True)
    def columns(batch):
        outputs = model(batch, training=False, by_head=True)[head]
        codes = slice_codes(model, by, batch)
        codes = tf.zeros_like(batch["item"]) if codes is None else codes
        return [tf.reshape(values, [-1]) for values in (outputs, one.labels(batch), codes)]

    found: list[list[np.ndarray]] = [[], [], []]
    count = len(batches)
    with WorkProgress("calibrated", count, "batches", console=progress, tell_end=False) as shown:
        for batch in batches:
            for column, values in zip(found, columns(batch), strict=True):
                column.append(values.numpy())
            shown.advance()
    logits, labels, codes = map(np.concatenate, found)
    known = ~np.isnan(labels)
    return logits[known].astype(np.float64), (labels[known] > 0).astype(np.float64), codes[known]


def _check_rows(logits: np.ndarray, labels: np.ndarray) -> None:
    wrong = ~np.isfinite(logits)
    if wrong.any():
        raise InputError(
            f"calibrate: {wrong.sum()} of {len(logits)} logits are not finite, so the training "
            f"diverged; train again, e.g. with a lower learning rate. Received: {logits[wrong][0]}"
        )
    positives = int(labels.sum())
    if not 0 < positives < len(labels):
        raise InputError(
            "calibrate: the test events of known users must give positives and negatives. "
            f"Received: {positives} positives of {len(labels)} rows"
        )
