"""The features that requests to a blend may give."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.signature import Tensor


class BlendedRequests:
    """The features of all members, with the attributes of `RequestFeatures` that exports read.

    Args:
      members: the features of the members that read some, at least one.
    """

    def __init__(self, members: Sequence[RequestFeatures]):
        self._members = tuple(members)
        self.users = next((one.users for one in members if one.users is not None), None)
        self.context = next((one.context for one in members if one.context is not None), None)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs of a request, each once."""
        return tuple({one.name: one for part in self._members for one in part.inputs}.values())

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """Input name -> the texts that training knows."""
        return {name: texts for part in self._members for name, texts in part.choices.items()}
