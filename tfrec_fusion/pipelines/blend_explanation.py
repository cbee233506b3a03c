"""Describes the shares of a blend's scores."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.pipelines.blend_config import COLD


class BlendExplanation(tf.Module):
    """The shares of the members; an export needs no further tables for them.

    Args:
      inputs: names of the shares.
    """

    size = 0

    def __init__(self, inputs: tuple[str, ...]):
        super().__init__(name="explanation")
        self.inputs = inputs

    @property
    def meanings(self) -> dict[str, str]:
        """Share -> what it means."""
        found = {name: f"share of the member {name!r} of the blend" for name in self.inputs}
        if COLD in found:
            found[COLD] = "what the order of the items without an event changes"
        return found
