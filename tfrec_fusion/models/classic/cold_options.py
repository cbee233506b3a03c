"""Options of models that can score cold items by their texts."""

from __future__ import annotations

from pydantic import PositiveInt

from tfrec_fusion.models.classic.classic_model import Options


class ColdOptions(Options):
    """Base of the options of a model that knows an item only by its training events.

    An item without a training event then gets what its nearest warm items have, in the mean; see
    `cold_mixing`. Your own `ClassicModel` can do so too: let its options inherit from this class.

    Attributes:
      cold: name of the catalogue's vector store in which warm items near to a cold item are found,
        or None: cold items keep the score of the model, mostly 0.
      cold_neighbours: number of warm items.
    """

    cold: str | None = None
    cold_neighbours: PositiveInt = 10
