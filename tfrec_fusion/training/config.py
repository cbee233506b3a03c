"""Everything that a training run is made from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.training.config_files import read_mapping
from tfrec_fusion.training.model_sections import (
    BY_GRADIENT,
    OWN,
    SECTIONS,
    ModelSection,
    TwoTowerSection,
)

# Up to so many items the softmax is over the whole catalogue.
_FULL_SOFTMAX_ITEMS = 100_000
_SAMPLED_CANDIDATES = 8192
# kind of examples -> epochs, batch size, learning rate
_DEFAULTS = {
    "as_of": (2, 512, 3e-3),
    "autoencoder": (15, 256, 3e-3),
    "held_out": (30, 256, 3e-3),
    "ranking": (1, 1024, 1e-3),
}
# What only models that are trained in epochs have.
_OF_TRAINING = (
    "examples",
    "spectral",
    "epochs",
    "batch_size",
    "learning_rate",
    "optimizer",
    "evaluate_every",
    "from_run",
)
# Of training from a spectral start: what is close to the best takes small steps.
_SPECTRAL_EPOCHS, _SPECTRAL_RATE, _SPECTRAL_DIM = 3, 1e-4, 1024


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Section):
    """Where the data is and how it is read; see `Interactions.from_frame` and `Catalogue`.

    `columns` are those of the interactions. The items' `item_id` is in the column of the same name
    unless `item_columns` says otherwise. `numbers` are the numeric columns of the items that are
    features; None takes all but those that look like ids, [] takes none.
    """

    interactions: str
    items: str
    vectors: dict[str, str] = {}
    numbers: list[str] | None = None
    min_rating: float | None = None
    unknown_items: Literal["error", "drop"] = "error"
    duplicates: Literal["error", "first"] = "error"
    nulls: Literal["error", "drop"] = "error"
    columns: dict[str, str] = {}
    item_columns: dict[str, str] = {}
    lists: dict[str, str] = {}
    timestamp_unit: Literal["s", "ms", "us", "ns"] | None = None
    stray_times: Literal["error", "drop", "keep"] = "error"


class SplitConfig(_Section):
    """See `Interactions.split`; its seed is not the run's, so that runs share a test set."""

    kind: Literal["temporal", "leave_one_out", "random", "none"] = "temporal"
    test: float | None = Field(default=None, gt=0, lt=1)
    seed: NonNegativeInt = 0


class AsOfSection(_Section):
    """`kind: as_of` and the options of `as_of_examples`."""

    kind: Literal["as_of"] = "as_of"
    horizon_days: PositiveFloat = 45.0
    every_days: PositiveFloat = 7.0
    max_cuts: PositiveInt = 150
    age_days: PositiveFloat = 365.0
    candidates: PositiveInt | None = None
    last: PositiveInt | None = None


class AutoencoderSection(_Section):
    """`kind: autoencoder` and the options of `autoencoder_examples`."""

    kind: Literal["autoencoder"] = "autoencoder"
    dropout: float = Field(default=0.2, ge=0, lt=1)


class HeldOutSection(_Section):
    """`kind: held_out` and the options of `held_out_examples`."""

    kind: Literal["held_out"] = "held_out"
    share: float = Field(default=0.2, gt=0, lt=1)
    candidates: PositiveInt | None = None


class RankingSection(_Section):
    """`kind: ranking` and the options of `ranking_examples`."""

    kind: Literal["ranking"] = "ranking"
    negatives: NonNegativeInt | None = None
    horizon_days: float = Field(default=45.0, ge=0)
    every_days: PositiveFloat = 7.0
    history: PositiveInt = 64
    window_days: PositiveFloat = 7.0


class SpectralSection(_Section):
    """Start the item vectors from `SpectralFusion`, with these options of it.

    Its text is the catalogue's vectors of the name `vectors`, the first ones by default; the model
    then uses none unless `model.vectors` names some, as the start holds them.
    """

    vectors: str | None = None
    regularization: PositiveFloat = 200.0
    text_weight: float = Field(default=20.0, ge=0)
    user_power: float = 0.25
    popularity_power: float = 0.0


class Recorded(_Section):
    """What a run found when it started.

    Attributes:
      inputs: path -> SHA-256 of every file that was read; another content is refused later.
      versions: package -> version.
    """

    inputs: dict[str, str] = {}
    versions: dict[str, str] = {}


class RunConfig(_Section):
    """The config of a `Run`; an unknown key or a bad value is refused with the key's path.

    Attributes:
      data, split, model: see their sections. A classic model has no examples, epochs and the like.
      rerank: what reorders the lists of exports: `"module:Class"` of your own, or a mapping with it
        as `kind` and its options; see `tfrec_fusion.export.export`.
      examples: what the model is trained on; None takes `ranking` for a ranker, `as_of` where there
        are times (and no random split, which has no "before"), else `autoencoder`, and `held_out`
        where the user tower cannot take an item out of its own score, and with sampled candidates
        beyond 100,000 items.
      spectral: a closed-form start of a two-tower's item vectors, of which the model then has 1,024
        columns, no further vectors, no ID dropout and no L2 norm, unless it says otherwise; False
        for none. None takes one where the examples are `autoencoder` and the model names neither
        fusion nor vectors nor `use_ids`.
      epochs, batch_size: None takes 2 and 512 for `as_of`, 15 and 256 for `autoencoder` (3 from a
        spectral start), 30 and 256 for `held_out`, 1 and 1024 for `ranking`. With 0 epochs the
        model stays as it starts (see `spectral`).
      learning_rate: peak of the default optimizer, `tfrec_fusion.optimizers.adam`; None takes 3e-3,
        1e-3 for `ranking`, and 1e-4 for `autoencoder` from a spectral start.
      optimizer: another one, as `tfrec_fusion.optimizers.resolve` takes it.
      evaluate_every: epochs between full evaluations in TensorBoard; None takes a fifth of them.
      seed: of initial weights, examples and dropout.
      from_run: folder of another run, whose model this one starts as: with its options, its
        description of the data and its weights, for the same items.
      recorded: written by the run itself.
    """

    data: DataConfig
    split: SplitConfig = SplitConfig()
    model: ModelSection = TwoTowerSection()
    examples: (
        Annotated[
            AsOfSection | AutoencoderSection | HeldOutSection | RankingSection,
            Field(discriminator="kind"),
        ]
        | None
    ) = None
    spectral: SpectralSection | Literal[False] | None = None
    epochs: NonNegativeInt | None = None
    batch_size: PositiveInt | None = None
    learning_rate: PositiveFloat | None = None
    optimizer: str | dict[str, Any] | None = None
    evaluate_every: PositiveInt | None = None
    seed: NonNegativeInt = 0
    from_run: str | None = None
    rerank: list[str | dict[str, Any]] = []
    recorded: Recorded = Recorded()

    @field_validator("model", mode="before")
    @classmethod
    def _with_kind(cls, value):
        return {"kind": "two_tower", **value} if isinstance(value, Mapping) else value

    @property
    def by_gradient(self) -> bool:
        """Whether the model is trained on examples; others are fitted at once."""
        return self.model.kind in BY_GRADIENT

    @model_validator(mode="after")
    def _belong_together(self) -> RunConfig:
        if not self.by_gradient:
            given = [name for name in _OF_TRAINING if getattr(self, name) not in (None, False, 0)]
            if given:
                raise ValueError(
                    f"{given[0]} is for models that are trained in epochs, and model.kind "
                    f"{self.model.kind!r} is fitted at once; leave it out"
                )
            return self
        ranker = self.model.kind == "ranker"
        if self.examples is not None and ranker != (self.examples.kind == "ranking"):
            raise ValueError(f"examples.kind {self.examples.kind!r} is not for {self.model.kind!r}")
        if ranker and self.spectral:
            raise ValueError("spectral is for model.kind 'two_tower'")
        return self

    @classmethod
    def of(cls, values: Mapping[str, Any], source: str = "config") -> RunConfig:
        """The config of nested mappings.

        Raises:
          InputError: one line with the key's path, e.g. `run.yaml: model.dim: Input should be
            greater than 0. Received: -3`.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            path = [str(part) for part in first["loc"] if part not in _KINDS]
            message = first["msg"].removeprefix("Value error, ")
            if not path:
                raise InputError(f"{source}: {message}") from None
            if first["type"].startswith("union_tag"):
                kinds = ", ".join(_kinds(path[0]))
                raise InputError(
                    f"{source}: {path[0]}.kind: must be one of {kinds}. "
                    f"Received: {_kind_of(first['input'])!r}"
                ) from None
            if first["type"] == "extra_forbidden":
                raise InputError(
                    f"{source}: {'.'.join(path)}: unknown key; the keys here are "
                    f"{', '.join(_keys(first['loc'][:-1]))}"
                ) from None
            if first["type"] == "missing":
                raise InputError(f"{source}: {'.'.join(path)}: this key is needed") from None
            raise InputError(
                f"{source}: {'.'.join(path)}: {message}. Received: {first['input']!r}"
            ) from None

    @classmethod
    def load(cls, path: str | os.PathLike) -> RunConfig:
        """Reads a YAML or JSON file; see `read_mapping`."""
        return cls.of(read_mapping(path), str(path))

    def resolved(self, train: Interactions) -> RunConfig:
        """The config with what depends on the data filled in, so that nothing is left to chance."""
        numbers = {"numbers": train.catalogue.numeric_columns}
        data = self.data.model_copy(update=numbers)
        if not self.by_gradient:
            return self.model_copy(update={"data": data, "epochs": 0})
        model: Any = self.model
        examples = self.examples
        if examples is None and self.model.kind == "ranker":
            examples = RankingSection()
        elif examples is None:
            timed = train.timestamp is not None and self.split.kind != "random"
            many = len(train.catalogue) > _FULL_SOFTMAX_ITEMS
            if timed or many:
                section = AsOfSection if timed else HeldOutSection
                examples = section(candidates=_SAMPLED_CANDIDATES if many else None)
            else:
                from tfrec_fusion.models import USER_TOWERS

                # Other towers are trained on histories without the target.
                own = USER_TOWERS.class_of(model.user).subtracts_self
                examples = AutoencoderSection() if own else HeldOutSection()
        if examples.kind in ("autoencoder", "held_out") and model.trend:
            # Examples without a time have no trend to learn from.
            model = model.model_copy(update={"trend": False})
        epochs, batch_size, learning_rate = _DEFAULTS[examples.kind]
        spectral = self._start(examples)
        if spectral:
            model = _started(model, len(train.catalogue))
            if examples.kind == "autoencoder":
                epochs, learning_rate = _SPECTRAL_EPOCHS, _SPECTRAL_RATE
        if model.kind == "two_tower":
            vectors = bool(train.catalogue.vectors) and not spectral
            model = model.completed(examples.kind != "autoencoder", vectors)
        epochs = epochs if self.epochs is None else self.epochs
        return self.model_copy(
            update={
                "data": data,
                "examples": examples,
                "model": model,
                "spectral": spectral,
                "epochs": epochs,
                "batch_size": self.batch_size or batch_size,
                "learning_rate": self.learning_rate or learning_rate,
                "evaluate_every": self.evaluate_every or max(epochs // 5, 1),
            }
        )

    def _start(self, examples) -> SpectralSection | Literal[False]:
        if self.spectral is not None:
            return self.spectral
        fuses = {"fusion", "vectors", "use_ids"} & self.model.model_fields_set
        chosen = examples.kind == "autoencoder" and not fuses
        return SpectralSection() if chosen else False

    def to_yaml(self) -> str:
        """The config as YAML that `load` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def difference(self, other: RunConfig) -> str | None:
        """The first key with another value in `other`, and both; None where they agree.

        What was recorded of inputs and versions is not compared.
        """
        mine, theirs = (
            _flat(c.model_dump(mode="json", exclude={"recorded"})) for c in (self, other)
        )
        for key in [*mine, *theirs]:
            if mine.get(key) != theirs.get(key):
                return f"{key} is {mine.get(key)!r} there and {theirs.get(key)!r} here"
        return None


def _started(model: TwoTowerSection, n_items: int) -> TwoTowerSection:
    """The model with what suits a spectral start, where it does not say otherwise."""
    suits = {"dim": min(_SPECTRAL_DIM, n_items), "id_dropout": 0.0, "id_l2": 0.0}
    given = {name: value for name, value in model if name in model.model_fields_set}
    values = {"vectors": [], **suits, **{k: v for k, v in given.items() if v is not None}}
    return model.model_copy(update=values)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


_SECTIONS = {
    ("data",): DataConfig,
    ("split",): SplitConfig,
    ("spectral",): SpectralSection,
    ("recorded",): Recorded,
    **{("model", kind): section for kind, section in SECTIONS.items()},
    ("examples", "as_of"): AsOfSection,
    ("examples", "autoencoder"): AutoencoderSection,
    ("examples", "held_out"): HeldOutSection,
    ("examples", "ranking"): RankingSection,
}
_KINDS = {path[1] for path in _SECTIONS if len(path) == 2}


def _kinds(key: str) -> list[str]:
    found = [path[1] for path in _SECTIONS if len(path) == 2 and path[0] == key]
    return [kind if kind != OWN else "module:Class of your own" for kind in found]


def _kind_of(value):
    return value.get("kind") if isinstance(value, Mapping) else value


def _keys(location: tuple) -> list[str]:
    """The keys that are known at the location of a pydantic error."""
    section = _SECTIONS.get(location, RunConfig)
    return list(section.model_fields)
