"""The sections of a run's config: data, split, examples and spectral start."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

from tfrec_fusion.examples.item_sampler import Sampling
from tfrec_fusion.models.classic import SpectralOptions


class Section(BaseModel):
    """Base of the sections: unknown keys raise an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """Where the data is and how to read it; see `Interactions.from_frame` and `Catalogue`.

    `columns` renames columns of the interactions; its `item_id` also applies to the items unless
    `item_columns` names another column. `numbers` are the numeric columns of the items that are
    features; None takes all but those that look like ids, [] takes none. `users` is
    a table of users and their attributes, read with `user_columns`, `user_lists` and
    `user_vectors`. `event_vectors` are vectors of the interactions.
    """

    interactions: str
    items: str
    users: str | None = None
    vectors: dict[str, str] = {}
    numbers: list[str] | None = None
    min_rating: float | None = None
    low_ratings: Literal["drop", "dislike"] = "drop"
    unknown_items: Literal["error", "drop"] = "error"
    duplicates: Literal["error", "first"] = "error"
    repeats: Literal["first", "all"] = "first"
    event_weights: dict[str | int | bool, float] | None = None
    labels: list[str] = []
    nulls: Literal["error", "drop"] = "error"
    columns: dict[str, str] = {}
    item_columns: dict[str, str] = {}
    lists: dict[str, str] = {}
    user_columns: dict[str, str] = {}
    user_lists: dict[str, str] = {}
    user_vectors: dict[str, str] = {}
    event_vectors: dict[str, str] = {}
    timestamp_unit: Literal["s", "ms", "us", "ns"] | None = None
    stray_times: Literal["error", "drop", "keep"] = "error"


class SplitConfig(Section):
    """Options of `Interactions.split`; its own seed lets runs of other seeds share a test set."""

    kind: Literal["temporal", "leave_one_out", "random", "given", "none"] = "temporal"
    test: float | None = Field(default=None, gt=0, lt=1)
    seed: NonNegativeInt = 0
    keep_valid: bool = True


class AsOfSection(Section):
    """`kind: as_of` and the options of `as_of_examples`."""

    kind: Literal["as_of"] = "as_of"
    horizon_days: PositiveFloat = 45.0
    every_days: PositiveFloat = 7.0
    max_cuts: PositiveInt = 150
    age_days: PositiveFloat = 365.0
    cuts_per_user: PositiveInt | Literal["auto"] | None = "auto"
    candidates: PositiveInt | Literal["auto"] | None = "auto"
    sampling: Sampling = "uniform"
    last: PositiveInt | None = None


class AutoencoderSection(Section):
    """`kind: autoencoder` and the options of `autoencoder_examples`."""

    kind: Literal["autoencoder"] = "autoencoder"
    dropout: float = Field(default=0.2, ge=0, lt=1)


class HeldOutSection(Section):
    """`kind: held_out` and the options of `held_out_examples`."""

    kind: Literal["held_out"] = "held_out"
    share: float = Field(default=0.2, gt=0, lt=1)
    candidates: PositiveInt | Literal["auto"] | None = "auto"
    sampling: Sampling = "uniform"


class SequenceSection(Section):
    """`kind: sequence` and the options of `sequence_examples`; `max_len` None is the tower's."""

    kind: Literal["sequence"] = "sequence"
    max_len: PositiveInt | None = None
    candidates: PositiveInt | Literal["auto"] | None = "auto"


class RankingSection(Section):
    """`kind: ranking` and the options of `ranking_examples`.

    `teacher` is a saved `Ranker` (a `.keras` file) or the folder of a `RankerEnsemble`, from which
    a model with `distillation` learns; see `distillation_examples`.
    """

    kind: Literal["ranking"] = "ranking"
    teacher: str | None = None
    negatives: NonNegativeInt | None = None
    horizon_days: float = Field(default=45.0, ge=0)
    every_days: PositiveFloat = 7.0
    history: PositiveInt = 64
    window_days: PositiveFloat = 7.0


class CalibrationSection(Section):
    """How to calibrate a ranker's probabilities; see `tfrec_fusion.training.calibrate`.

    The model then trains on the earlier training events alone, and `share` of them are those that
    the calibration is fitted on, as `Split.validation` chooses them; None is its default.
    """

    method: Literal["isotonic", "platt", "temperature"] = "isotonic"
    by: str | None = None
    min_rows: PositiveInt = 500
    share: float | None = Field(default=None, gt=0, lt=1)


class SpectralSection(SpectralOptions):
    """Options of the spectral decomposition that initializes the item vectors.

    Its text vectors are the catalogue's vectors of the name `vectors`, by default the first ones.
    The initial item vectors already contain them, so the model itself uses no vectors unless
    `model.vectors` names some.
    """


class Recorded(Section):
    """Hashes of the inputs and versions of the packages when a run started.

    Attributes:
      inputs: name of an input, e.g. "interactions" -> SHA-256 of its content; a later call with
        other content raises InputError.
      versions: package -> version.
    """

    inputs: dict[str, str] = {}
    versions: dict[str, str] = {}
