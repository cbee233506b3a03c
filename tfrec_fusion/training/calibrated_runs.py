"""The calibration of a run's ranker on a part of its training events."""

from __future__ import annotations

from dataclasses import replace

from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.models import Ranker
from tfrec_fusion.training.calibrating import calibrate
from tfrec_fusion.training.config import RunConfig


def trained_events(config: RunConfig, split: Split) -> Interactions:
    """Returns the events that a run trains on: without a calibration, all training events.

    Raises:
      InputError: the training events cannot be split for the calibration.
    """
    return split.train if config.calibration is None else _parts(config, split).train


def calibrate_run(config: RunConfig, model: Ranker, split: Split) -> None:
    """Calibrates a trained ranker on the training events that `trained_events` left out.

    Raises:
      InputError: as `calibrate`.
    """
    one = config.calibration
    assert one is not None
    options = one.model_dump(exclude={"share"})
    calibrate(model, _parts(config, split), **options, seed=config.seed, progress=False)


def _parts(config: RunConfig, split: Split) -> Split:
    """The training events as a split in two, both with all training users."""
    assert config.calibration is not None
    part = split.validation(test=config.calibration.share)
    train, test = (one.encode_users(split.train.users) for one in (part.train, part.test))
    return replace(part, train=train, test=test)
