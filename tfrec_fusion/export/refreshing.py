"""Writes the next version of an export with newer events and the same weights."""

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
from tfrec_fusion.models.building import check_repeats
from tfrec_fusion.times import utc

USERS = "assets/users.txt"
_log = logging.getLogger(__name__)
_WRONG_BEFORE = "If that time is wrong, any_time=True (--any-time) writes the version anyway"


def refresh(model, events: Interactions, path: str | os.PathLike, **options) -> Path:
    """Writes the next version with trends and histories of newer events, without training.

    The catalogue needs only ids, titles and numbers, as the model holds the vectors. As in training
    and in `export`, `Interactions.counted_events` count. New users are allowed;
    if the model reads user ids, they count in the trends only, and the users of training are read
    from an earlier version.

    Args:
      model: the trained model.
      events: all events up to now, not only the new ones; `Run.events` reads them as the run did.
      path: folder of the model's versions, as given to `export`.
      **options: options of `export`. As there, precision, filters, rules, rerank and explain
        default to those of the latest version. `any_time=True` also allows a version that is as of
        an earlier time than the latest one, e.g. to correct a wrong time.

    Returns:
      The folder of the new version.

    Raises:
      InputError: the model has no trend, the events have neither timestamps nor positions, or no
        timestamps after a version that had them; they do not start before the latest version's
        time, the new version would be as of an earlier time than the latest, or `export` raises it.

    Example:
      >>> refresh(model, events, "saved_models/shop").name
      '2'
    """
    _check_trend(model)
    require_interactions(events, "refresh")
    check_repeats(model.spec, events)
    card = latest_card(path)
    dated = bool((card.get("data") or {}).get("as_of"))
    if events.timestamp is None and (dated or events.position is None):
        raise InputError("refresh: the interactions have no column 'timestamp'")
    if not options.get("any_time"):
        counted = events.counted_events()
        _check_whole(counted, card)
        if counted.timestamp is not None:
            _check_later(counted, card, options.get("at"))
    events = with_known_users(model, events, lambda: _trained_users(model, path))
    return export(model, events, path, **options)


def _check_whole(events: Interactions, card: dict) -> None:
    """Checks that the events include those of the latest version, as they give the histories."""
    before = card.get("data")
    if not before:
        return
    begin = 0.0 if events.timestamp is None else float(events.timestamp.min())
    if before["as_of"] and begin >= datetime.fromisoformat(before["as_of"]).timestamp():
        raise InputError(
            "refresh: interactions must be all events up to now, as users' histories are built "
            f"from them; these begin after the latest version's time, {before['as_of']}. "
            f"{_WRONG_BEFORE}. Received: {len(events)} events from {utc(begin)} on"
        )
    if len(events) < before["events"]:
        _log.warning(
            "refresh: %d events are fewer than the %d of the latest version; histories are built "
            "from these alone",
            len(events),
            before["events"],
        )


def _check_later(events: Interactions, card: dict, at: float | None) -> None:
    """Checks that the new version is not as of an earlier time than the latest one."""
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
            "interactions with a 'timestamp', or use export instead"
        )


def _trained_users(model, path: str | os.PathLike) -> Vocabulary:
    for _, version in sorted(versions(path).items(), reverse=True):
        if (version / USERS).is_file():
            users = Vocabulary.load(version / USERS)
            if users.fingerprint == model.spec.users:
                return users
    raise InputError(
        "refresh: the model reads user ids, and its users are in no version below the folder; "
        f"export the run to it first. Received: {path}"
    )
