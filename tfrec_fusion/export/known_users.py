"""Events for a model that reads user ids."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tfrec_fusion.data import Interactions, Vocabulary

_log = logging.getLogger(__name__)


def with_known_users(model, events: Interactions, users: Callable[[], Vocabulary]) -> Interactions:
    """The events with the users that a model knows, where it reads user ids.

    Others are told in a log line; they count in the trends only.

    Args:
      model: a trained one.
      events: with any users.
      users: gives the vocabulary of its training events, where that is needed.
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
