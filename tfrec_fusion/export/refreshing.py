"""The next version of an export, with newer events and the same weights."""

from __future__ import annotations

import logging
import math
import numbers
import os
from datetime import datetime
from pathlib import Path

from tfrec_fusion.data import Interactions, Vocabulary
from tfrec_fusion.data.given import require_interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.exporter import export
from tfrec_fusion.export.kept_options import latest_card
from tfrec_fusion.export.known_users import with_known_users
from tfrec_fusion.export.versions import versions
from tfrec_fusion.times import utc

USERS = "assets/users.txt"
_log = logging.getLogger(__name__)
_WRONG_BEFORE = "If that time is wrong, any_time=True (--any-time) writes a version after it"


def refresh(model, events: Interactions, path: str | os.PathLike, **options) -> Path:
    """Writes the next version with the trends and histories of newer events.

    Nothing is trained, and of the catalogue only ids, titles and numbers are needed: the vectors
    are in the model. As in training and in `export`, the first positive event of each user-item
    pair counts. Users may be new. Where the model reads user ids, new ones count in the trends
    only; its vocabulary is found in an earlier version.

    Args:
      model: the trained model.
      events: all events up to now, not the new ones alone; `Run.events` reads them as the run's.
      path: folder of the model's versions, as `export` was given it.
      **options: of `export`. Precision, filters, rules and whether scores are explained are those
        of the latest version unless given. `any_time` also writes a version that is as of an
        earlier time than the latest one, as is needed where that one's time was wrong.

    Returns:
      The folder of the new version.

    Raises:
      InputError: a model without a trend, events without times or none from before the latest
        version, a version that would be as of an earlier time than the latest, or what `export`
        refuses.

    Example:
      >>> refresh(model, events, "saved_models/shop").name
      '2'
    """
    _check_trend(model)
    require_interactions(events, "refresh")
    if events.timestamp is None:
        raise InputError("refresh: the interactions have no column 'timestamp'")
    if not options.get("any_time"):
        first, card = events.first_events(), latest_card(path)
        _check_whole(first, card)
        _check_later(first, card, options.get("at"))
    events = with_known_users(model, events, lambda: _trained_users(model, path))
    return export(model, events, path, **options)


def _check_whole(events: Interactions, card: dict) -> None:
    """Histories are made of the events alone, so those of the latest version must be among them."""
    before = card.get("data")
    if not before:
        return
    begin = float(events.timestamp.min())
    if before["as_of"] and begin >= datetime.fromisoformat(before["as_of"]).timestamp():
        raise InputError(
            "refresh: interactions must be all events up to now, as users' histories are made of "
            f"them; these begin where the latest version ends, {before['as_of']}. {_WRONG_BEFORE}. "
            f"Received: {len(events)} events from {utc(begin)} on"
        )
    if len(events) < before["events"]:
        _log.warning(
            "refresh: %d events are fewer than the %d of the latest version; histories are made of "
            "these alone",
            len(events),
            before["events"],
        )


def _check_later(events: Interactions, card: dict, at: float | None) -> None:
    """A version never goes back in time, unless that is asked for."""
    before = (card.get("data") or {}).get("as_of")
    given = isinstance(at, numbers.Real) and not isinstance(at, bool) and math.isfinite(at)
    after = float(at) if given and at is not None else float(events.event_times.max())
    # The card has whole seconds.
    if before and after < datetime.fromisoformat(before).timestamp() - 1:
        raise InputError(
            f"refresh: the new version must not be as of an earlier time than the latest one, "
            f"{before}. {_WRONG_BEFORE}. Received: {utc(after)}"
        )


def _check_trend(model) -> None:
    if not model.refreshes:
        raise InputError(
            "refresh: the model has no trend to refresh; train it with model.trend true on "
            "interactions with a 'timestamp', or export it as it is"
        )


def _trained_users(model, path: str | os.PathLike) -> Vocabulary:
    for _, version in sorted(versions(path).items(), reverse=True):
        if (version / USERS).is_file():
            users = Vocabulary.load(version / USERS)
            if users.fingerprint == model.spec.users:
                return users
    raise InputError(
        "refresh: the model reads user ids, and its users are in no version below the folder; "
        f"export the run there first. Received: {path}"
    )
