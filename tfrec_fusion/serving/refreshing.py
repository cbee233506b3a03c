"""The next version of an export, with newer events and the same weights."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from tfrec_fusion.config import read_json
from tfrec_fusion.data import Interactions, Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.models import Ranker
from tfrec_fusion.serving.exporter import export
from tfrec_fusion.serving.model_card import CARD
from tfrec_fusion.serving.versions import versions

USERS = "assets/users.txt"
_log = logging.getLogger(__name__)


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
        of the latest version unless given.

    Returns:
      The folder of the new version.

    Raises:
      InputError: a model without a trend, events without times or none from before the latest
        version, or what `export` refuses.

    Example:
      >>> run = Run.open("runs/shop")
      >>> refresh(run.model(), run.events("interactions.parquet"), "saved_models/shop")
      PosixPath('saved_models/shop/2')
    """
    _check_trend(model)
    if events.timestamp is None:
        raise InputError("refresh: the interactions have no column 'timestamp'")
    events = events.first_events()
    card = _latest_card(path)
    _check_whole(events, card)
    reads_user_ids = model.config.user != "history"
    if reads_user_ids and events.users.fingerprint != model.spec.users:
        known = events.encode_users(_trained_users(model, path))
        new = len(set(events.user[known.user < 0].tolist()))
        if new:
            _log.warning(
                "refresh: %d users are new to the model, which reads user ids; they count in the "
                "trends only",
                new,
            )
        events = known
    return export(model, events, path, **_carried(model, card) | options)


def _latest_card(path: str | os.PathLike) -> dict:
    """The card of the latest version, empty where there is none."""
    found = versions(path)
    if not found or not (found[max(found)] / CARD).is_file():
        return {}
    return read_json(found[max(found)] / CARD, "refresh")


def _carried(model, card: dict) -> dict:
    """The options of the latest version that are to stay."""
    ranks = isinstance(model, Ranker)
    names = ("precision",) if ranks else ("precision", "filters", "rules")
    kept = {name: card[name] for name in names if card.get(name)}
    return kept | ({"explain": True} if "explain" in card and not ranks else {})


def _check_whole(events: Interactions, card: dict) -> None:
    """Histories are made of the events alone, so those of the latest version must be among them."""
    before = card.get("data")
    if not before:
        return
    begin = datetime.fromtimestamp(events.timestamp.min(), UTC)
    if before["as_of"] and begin >= datetime.fromisoformat(before["as_of"]):
        raise InputError(
            "refresh: interactions must be all events up to now, as users' histories are made of "
            f"them; these begin where the latest version ends, {before['as_of']}. "
            f"Received: {len(events)} events from {begin.isoformat(timespec='seconds')} on"
        )
    if len(events) < before["events"]:
        _log.warning(
            "refresh: %d events are fewer than the %d of the latest version; histories are made of "
            "these alone",
            len(events),
            before["events"],
        )


def _check_trend(model) -> None:
    names = set(model.spec.feature_names)
    if isinstance(model, Ranker):
        names = names - set(model.spec.numbers) if model.config.trend else set()
    if not names:
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
