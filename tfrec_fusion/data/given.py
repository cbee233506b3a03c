from __future__ import annotations

from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.data.split import Split
from tfrec_fusion.errors import InputError


def require_interactions(events: object, what: str) -> None:
    """Refuses what is no `Interactions`, as a frame or a whole `Split`.

    Raises:
      InputError: says how to get some.
    """
    if isinstance(events, Interactions):
        return
    remedy = "pass Interactions, as Interactions.from_frame(frame, catalogue) makes them"
    if isinstance(events, Split):
        remedy = "pass Interactions, as the split's .train"
    raise InputError(f"{what}: {remedy}. Received: {type(events).__name__}")
