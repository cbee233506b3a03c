"""Options that the linear item-item models share."""

from __future__ import annotations

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.classic.cold_options import ColdOptions
from tfrec_fusion.models.classic.trend_factor import TrendFactor
from tfrec_fusion.models.serving.history_decay import HistoryDecay

_TIMED = ("half_life_days", "event_half_life_days", "trend_power")
_ORDERED = ("step_decay", "transition_weight")


class LinearOptions(ColdOptions):
    """Options of `EASE` and `SparseEASE`, in addition to `ColdOptions`.

    Attributes:
      l2: ridge penalty, above 0.
      vectors: name of a vector store of the catalogue, or None for no text.
      text_weight: weight of the text term, 0 or more; needs `vectors`.
      dims: number of whitened dimensions of the text; None only centres it.
      event_half_life_days: days in which the value of a training event halves; None for no decay.
        Needs timestamps.
      half_life_days: days in which the weight of a history item halves, see `HistoryDecay`; None
        for no decay. Needs timestamps.
      step_decay: weight of a history item for each later one, in (0, 1]; None for no decay. Needs
        timestamps or positions.
      transition_weight: weight of `transitions`, 0 or more. Needs timestamps or positions.
      trend_power: power of `TrendFactor`, 0 or more. Needs timestamps.
      trend_days: length of its recent period.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    l2: PositiveFloat = 200.0
    vectors: str | None = None
    text_weight: float = Field(0.0, ge=0)
    dims: PositiveInt | None = None
    event_half_life_days: PositiveFloat | None = None
    half_life_days: PositiveFloat | None = None
    step_decay: float | None = Field(None, gt=0, le=1)
    transition_weight: NonNegativeFloat = 0.0
    trend_power: NonNegativeFloat = 0.0
    trend_days: PositiveFloat = 30.0

    @model_validator(mode="after")
    def _belong_together(self) -> LinearOptions:
        if (self.text_weight > 0) != (self.vectors is not None):
            raise ValueError("vectors and text_weight > 0 need each other; give both or neither")
        if self.dims is not None and self.vectors is None:
            raise ValueError("dims needs vectors and text_weight; give them or leave dims out")
        return self

    @property
    def decay(self) -> HistoryDecay | None:
        """The weights of history items; None if all are 1."""
        if self.half_life_days is None and self.step_decay is None:
            return None
        return HistoryDecay(self.half_life_days, self.step_decay)

    @property
    def trend(self) -> TrendFactor | None:
        """The factors of items; None if all are 1."""
        return TrendFactor(self.trend_days, self.trend_power) if self.trend_power else None

    def check_order(self, owner: str, train: Interactions) -> None:
        """Raises InputError if an option needs times or an order that the events lack."""
        timed = train.timestamp is not None
        for options, columns, there in (
            (_TIMED, "'timestamp'", timed),
            (_ORDERED, "'timestamp' or 'position'", timed or train.position is not None),
        ):
            given = {name: getattr(self, name) for name in options if getattr(self, name)}
            if given and not there:
                option = next(iter(given))
                raise InputError(
                    f"{owner}: {option} needs a column {columns} in the interactions; add it or "
                    f"leave the option out. Received: {option}={given[option]:g}"
                )
