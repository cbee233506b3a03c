from __future__ import annotations

from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.data.split import Split
from tfrec_fusion.errors import InputError


def require_interactions(events: object, what: str) -> None:
    """Checks that `events` is an `Interactions`, not e.g. a frame or a whole `Split`.

    Raises:
      InputError: it is something else; the message says how to get an `Interactions`.
    """
    if isinstance(events, Interactions):
        return
    remedy = "pass Interactions, e.g. Interactions.from_frame(frame, catalogue)"
    if isinstance(events, Split):
        remedy = "pass Interactions, e.g. the split's .train"
    raise InputError(f"{what}: {remedy}. Received: {type(events).__name__}")
