"""Applies a ranker's calibration to the outputs of its heads."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tfrec_fusion._compat import tf
from tfrec_fusion.models.calibration.slices import slice_codes
from tfrec_fusion.signature import Tensor

if TYPE_CHECKING:
    from tfrec_fusion.models.ranker import Ranker

_log = logging.getLogger(__name__)


def calibrated_logits(
    model: Ranker, outputs: Mapping[str, tf.Tensor], batch: Mapping[str, tf.Tensor]
) -> tf.Tensor:
    """Returns the calibrated logits of a calibrated model's head, in the shape of `item`.

    Args:
      model: has a calibration.
      outputs: of its heads, by name.
      batch: what they were computed from.
    """
    one = model.calibration
    assert one is not None
    return one.logits(outputs[one.head], slice_codes(model, one.by, batch))


def calibrated_answers(
    model: Ranker, outputs: Mapping[str, tf.Tensor], batch: Mapping[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    """Returns the answers of an export, of which a calibration replaces the probability."""
    found = model.heads.answers(outputs)
    if model.calibration is not None:
        probability = tf.sigmoid(calibrated_logits(model, outputs, batch))
        replaced = {"probability", model.calibration.head} & found.keys()
        found |= dict.fromkeys(replaced, probability)
    return found


def described_answers(model: Ranker) -> tuple[Tensor, ...]:
    """Returns the answers of an export in words, with the calibration of the probability."""
    one, found = model.calibration, model.heads.described
    if one is None:
        return found
    told = f", calibrated ({one.method}) where {one.base_rate:.3g} of the rows are positive"
    names = ("probability", one.head)
    return tuple(replace(t, meaning=t.meaning + told) if t.name in names else t for t in found)


def scores_and_logits(model, batch: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns scores and, where these are logits of the events' own label, calibrated logits.

    Without a calibration, or where scores are no such logits, both are the scores.

    Args:
      model: a `Ranker`, or a function from batches to logits.
      batch: of `ranking_examples`.
    """
    calibration = getattr(model, "calibration", None)
    if calibration is None or not model.score_is_logit:
        scores = model(batch)
        return scores, scores
    outputs = model(batch, training=False, by_head=True)
    return model.heads.score(outputs), calibrated_logits(model, outputs, batch)


def without_calibration(model: Ranker) -> None:
    """Removes the calibration of a model that is going to be trained, and logs a warning."""
    if model.calibration is not None:
        model.calibration = None
        _log.warning(
            "Ranker: training removed the calibration, which was fitted to the weights before; "
            "call tfrec_fusion.training.calibrate again"
        )
