"""Encodes events with the users of a model that reads user ids."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tfrec_fusion.data import Interactions, Vocabulary

_log = logging.getLogger(__name__)


def with_known_users(model, events: Interactions, users: Callable[[], Vocabulary]) -> Interactions:
    """The events, re-encoded with the model's training users if it reads user ids.

    A log line counts the users that the model does not know; they count in the trends only.

    Args:
      model: a trained model.
      events: events of any users.
      users: returns the users of the model's training events; called only when needed.
    """
    if not model.reads_user_ids or events.users.fingerprint == model.spec.users:
        return events
    known = events.encode_users(users())
    new = len(set(events.user[known.user < 0].tolist()))
    if new:
        _log.warning(
            "export: %d users are new to the model, which reads user ids; they count in the trends "
            "only",
            new,
        )
    return known
