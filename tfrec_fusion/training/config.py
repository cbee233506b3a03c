"""The config of a training run: data, split, model, examples and training options."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import (
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
from tfrec_fusion.examples.candidates import resolved_candidates
from tfrec_fusion.features.side import FEATURE_KINDS, key_path
from tfrec_fusion.training.config_files import read_mapping
from tfrec_fusion.training.config_sections import (
    AsOfSection,
    AutoencoderSection,
    CalibrationSection,
    DataConfig,
    HeldOutSection,
    RankingSection,
    Recorded,
    Section,
    SequenceSection,
    SpectralSection,
    SplitConfig,
)
from tfrec_fusion.training.joint_configs import check_joint, joint_configs
from tfrec_fusion.training.model_sections import (
    AUTO,
    BY_GRADIENT,
    COMPOSED,
    OWN,
    SECTIONS,
    TWO_STAGE,
    BlendSection,
    ModelSection,
    TwoStageSection,
    TwoTowerSection,
)
from tfrec_fusion.training.time_budget import seconds_of

# Beyond this many items autoencoder examples, which score the whole catalogue, are too dear.
_AUTOENCODER_ITEMS = 100_000
# kind of examples -> epochs, batch size, learning rate
_DEFAULTS = {
    "as_of": (2, 512, 3e-3),
    "autoencoder": (15, 256, 3e-3),
    "held_out": (30, 256, 3e-3),
    "sequence": (20, 128, 1e-3),
    "ranking": (1, 1024, 1e-3),
}
_MAX_LEN = 50  # the default of `SequenceTower`
# Keys that apply only to models that are trained in epochs.
_GRADIENT_KEYS = (
    "examples",
    "joint",
    "spectral",
    "epochs",
    "batch_size",
    "learning_rate",
    "optimizer",
    "steps_per_epoch",
    "time_budget",
    "evaluate_every",
    "calibration",
    "from_run",
)
# Of the keys that a member of a blend may not have.
_OF_THE_RUN = ("data", "split", "rerank", "from_run", "recorded")
# pydantic's names of the types that a key may have.
_BRANCH = re.compile(r"constrained-\w+|literal\[.*\]")
# Defaults of training from a spectral start, which is close to the optimum: few, small steps.
_SPECTRAL_EPOCHS, _SPECTRAL_RATE, _SPECTRAL_DIM = 3, 1e-4, 1024


class RunConfig(Section):
    """The config of a `Run`. An unknown key or a bad value raises InputError with the key's path.

    Attributes:
      data, split, model: see their sections. Classic models are fitted at once, so they take no
        `examples`, `epochs` or other keys of training.
      rerank: rerankers that reorder the lists of exports: each a `"module:Class"` of your own, or a
        mapping with it as `kind` and its options; see `tfrec_fusion.export.export`.
      examples: kind and options of the training examples. None chooses: `ranking` for a ranker;
        `sequence` for a `SequenceTower` and events with an order, except under a random split;
        `as_of` for events with times, except under a random split, which has no "before"; else
        `autoencoder`. `held_out` replaces `autoencoder` if the user tower cannot subtract an item
        from its own score, and beyond 100,000 items, where candidates are sampled.
      joint: name of a term of `model.loss` -> examples of its own, as `examples`, with a
        `batch_size`; see `joint_examples`. The other terms read `examples`.
      spectral: options of a closed-form initialization of a two-tower's item vectors; False for
        none. The model then defaults to 1,024 dimensions, no further vectors, no ID dropout and no
        L2 norm. None uses it if the examples are `autoencoder` and the model sets neither `fusion`
        nor `vectors` nor `use_ids`.
      epochs, batch_size: None takes 2 and 512 for `as_of`, 15 and 256 for `autoencoder` (3 epochs
        from a spectral start), 30 and 256 for `held_out`, 20 and 128 for `sequence`, 1 and 1024
        for `ranking`. With 0 epochs the model keeps its initial weights (see `spectral`).
      steps_per_epoch: most batches of an epoch, drawn anew in each; None for all.
      time_budget: seconds that preparing and training may take, or a text such as "20m" or
        "1h30m". The first steps are timed, and if all examples would take longer, each epoch has
        fewer, drawn anew each time, and the learning rate decays over these. Evaluations are not
        counted.
      learning_rate: peak rate of the default optimizer, `tfrec_fusion.optimizers.adam`; None takes
        3e-3, 1e-3 for `ranking` and `sequence`, and 1e-4 for `autoencoder` from a spectral start.
      optimizer: another optimizer, as `tfrec_fusion.optimizers.resolve` takes it.
      evaluate_every: epochs between full evaluations in TensorBoard; None takes a fifth of
        `epochs`.
      calibration: how to calibrate the probabilities of a ranker on a part of the training events,
        on which it then does not train; None for no calibration.
      seed: of initial weights, examples and dropout.
      from_run: folder of another run to start from: this run takes over its model options, its
        description of the data and its weights. The items must be the same.
      recorded: written by the run itself.
    """

    data: DataConfig
    split: SplitConfig = SplitConfig()
    model: ModelSection = TwoTowerSection()
    examples: (
        Annotated[
            AsOfSection | AutoencoderSection | HeldOutSection | RankingSection | SequenceSection,
            Field(discriminator="kind"),
        ]
        | None
    ) = None
    joint: dict[str, dict[str, Any]] | None = None
    spectral: SpectralSection | Literal[False] | None = None
    epochs: NonNegativeInt | None = None
    batch_size: PositiveInt | None = None
    learning_rate: PositiveFloat | None = None
    optimizer: str | dict[str, Any] | None = None
    steps_per_epoch: PositiveInt | None = None
    time_budget: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    evaluate_every: PositiveInt | None = None
    calibration: CalibrationSection | None = None
    seed: NonNegativeInt = 0
    from_run: str | None = None
    rerank: list[str | dict[str, Any]] = Field(default_factory=list)
    recorded: Recorded = Recorded()

    @field_validator("model", mode="before")
    @classmethod
    def _with_kind(cls, value):
        return {"kind": "two_tower", **value} if isinstance(value, Mapping) else value

    @field_validator("time_budget", mode="before")
    @classmethod
    def _seconds(cls, value):
        return seconds_of(value) if isinstance(value, str) else value

    @property
    def by_gradient(self) -> bool:
        """Whether the model is trained on examples in epochs; classic models are fitted at once."""
        return self.model.kind in BY_GRADIENT

    @model_validator(mode="after")
    def _belong_together(self) -> RunConfig:
        if not self.by_gradient:
            given = [name for name in _GRADIENT_KEYS if getattr(self, name) not in (None, False, 0)]
            if self.model.kind == AUTO:
                given = [name for name in given if name != "time_budget"]
            if given:
                advice = "is fitted at once; leave it out"
                if self.model.kind in COMPOSED:
                    advice = "has members, which take it; give it to them"
                raise ValueError(
                    f"{given[0]} applies only to models that are trained in epochs, and model.kind "
                    f"{self.model.kind!r} {advice}"
                )
            self.member_configs()
            return self
        ranker = self.model.kind == "ranker"
        if self.examples is not None and ranker != (self.examples.kind == "ranking"):
            raise ValueError(
                f"examples.kind {self.examples.kind!r} does not fit model.kind "
                f"{self.model.kind!r}; leave examples out"
            )
        if self.calibration is not None and not ranker:
            raise ValueError(
                f"calibration is of the probabilities of model.kind 'ranker', and model.kind is "
                f"{self.model.kind!r}; leave it out"
            )
        if ranker and self.spectral:
            raise ValueError("spectral applies only to model.kind 'two_tower'; leave it out")
        check_joint(self)
        return self

    def member_configs(self) -> dict[str, RunConfig]:
        """Returns name -> config of each part of a model of `COMPOSED`; {} for other kinds.

        They have the data, the split and, unless they name another one, the seed of this config.

        Raises:
          InputError: a member has an unknown key, a key of the whole run or a bad value, or is no
            model that ranks the catalogue, or as the ranker of two stages no ranker.
        """
        if self.model.kind not in COMPOSED:
            return {}
        model = cast(BlendSection | TwoStageSection, self.model)
        prefix = "model" if model.kind == TWO_STAGE else "model.members"
        shared = {"data": self.data, "split": self.split, "seed": self.seed}
        found = {}
        for name, values in model.members.items():
            where = f"{prefix}.{name}"
            taken = [key for key in _OF_THE_RUN if key in values]
            if taken:
                raise InputError(
                    f"{where}: {taken[0]} is a key of the whole run; leave it out of the member. "
                    f"Received: {values[taken[0]]!r}"
                )
            found[name] = one = RunConfig.of({**shared, **values}, where)
            if model.kind == TWO_STAGE and name == "ranker":
                fits, wanted = one.model.kind == "ranker", "a ranker"
            else:
                fits = one.model.kind not in ("ranker", AUTO, *COMPOSED)
                wanted = "a single model that ranks the whole catalogue"
            if not fits:
                raise InputError(
                    f"{where}: must be {wanted}. Received: model.kind {one.model.kind!r}"
                )
        return found

    @classmethod
    def of(cls, values: Mapping[str, Any], source: str = "config") -> RunConfig:
        """Validates nested mappings and returns their config.

        Args:
          values: the config's keys.
          source: name of the config in errors.

        Raises:
          InputError: one line with the key's path, e.g. `run.yaml: model.dim: Input should be
            greater than 0. Received: -3`.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            found = error.errors()
            # A misspelt key is missing under its own name too.
            first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
            # pydantic names the class of a section that may also be False.
            location = tuple(part for part in first["loc"] if part != SpectralSection.__name__)
            # A kind stands below its section; "spectral" is one and a section's name too.
            parts = [
                str(part)
                for place, part in enumerate(key_path(location))
                if not place or part not in _KINDS
            ]
            path = [part for part in parts if not _BRANCH.fullmatch(part)]
            message = first["msg"].removeprefix("Value error, ")
            if not path:
                raise InputError(f"{source}: {message}") from None
            if first["type"].startswith("union_tag"):
                kinds = ", ".join(_kinds(path[0]) if len(path) == 1 else sorted(FEATURE_KINDS))
                raise InputError(
                    f"{source}: {'.'.join(path)}.kind: must be one of {kinds}. "
                    f"Received: {_kind_of(first['input'])!r}"
                ) from None
            if first["type"] == "extra_forbidden":
                raise InputError(
                    f"{source}: {'.'.join(path)}: unknown key; the keys here are "
                    f"{', '.join(_keys(location[:-1]))}"
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
        """Returns the config with all defaults filled in, those that depend on the data too."""
        numbers = {"numbers": train.catalogue.numeric_columns}
        data = self.data.model_copy(update=numbers)
        if not self.by_gradient:
            update: dict[str, Any] = {"data": data, "epochs": 0}
            members = {
                name: one.resolved(train).model_dump(mode="json", exclude={*_OF_THE_RUN})
                for name, one in self.member_configs().items()
            }
            if members:
                parts = members if self.model.kind == TWO_STAGE else {"members": members}
                update["model"] = self.model.model_copy(update=parts)
            return self.model_copy(update=update)
        model: Any = self.model
        if self.model.kind in BY_GRADIENT:
            model = model.with_features(train)
        examples = self.examples
        if examples is None and self.model.kind == "ranker":
            examples = RankingSection()
        elif examples is None:
            from tfrec_fusion.models import USER_TOWERS

            tower = USER_TOWERS.class_of(model.user)
            split_by_order = self.split.kind != "random"
            timed = train.timestamp is not None and split_by_order
            ordered = timed or (train.position is not None and split_by_order)
            if tower.encodes_positions and ordered:
                examples = SequenceSection()
            elif timed:
                examples = AsOfSection()
            elif len(train.catalogue) > _AUTOENCODER_ITEMS:
                examples = HeldOutSection()
            else:
                # A tower that cannot subtract self-pairs needs histories without the target.
                examples = AutoencoderSection() if tower.subtracts_self else HeldOutSection()
        joint: Any = {name: one.resolved(train) for name, one in joint_configs(self).items()}
        kinds = {examples.kind, *(one.examples.kind for one in joint.values())}
        if kinds & {"autoencoder", "held_out", "sequence"} and model.trend:
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
            model = model.completed(examples.kind not in ("autoencoder", "sequence"), vectors)
        epochs = epochs if self.epochs is None else self.epochs
        batch_size = self.batch_size or batch_size
        if isinstance(examples, AsOfSection | HeldOutSection):
            count = resolved_candidates(examples.candidates, len(train.catalogue), batch_size)
            examples = examples.model_copy(update={"candidates": count})
        elif isinstance(examples, SequenceSection):
            examples = examples.model_copy(update={"max_len": examples.max_len or _read(model)})
        return self.model_copy(
            update={
                "data": data,
                "examples": examples,
                "joint": {
                    name: {**one.examples.model_dump(mode="json"), "batch_size": one.batch_size}
                    for name, one in joint.items()
                }
                or None,
                "model": model,
                "spectral": spectral,
                "epochs": epochs,
                "batch_size": batch_size,
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
        """Returns the config as YAML, which `load` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def difference(self, other: RunConfig) -> str | None:
        """Describes the first key whose value differs from `other`; None if all are equal.

        Recorded inputs and versions are not compared.
        """
        mine, theirs = (
            _flat(c.model_dump(mode="json", exclude={"recorded"})) for c in (self, other)
        )
        for key in [*mine, *theirs]:
            if mine.get(key) != theirs.get(key):
                return f"{key} is {mine.get(key)!r} there and {theirs.get(key)!r} here"
        return None


def _started(model: TwoTowerSection, n_items: int) -> TwoTowerSection:
    """The model section with the defaults of a spectral start for the options that are not set."""
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


def _read(model: Any) -> int:
    """The number of events that the sequence tower of a model's config reads."""
    options = model.user_options if isinstance(model.user, str) else model.user["config"]
    return options.get("max_len", _MAX_LEN)


_SECTIONS = {
    ("data",): DataConfig,
    ("split",): SplitConfig,
    ("spectral",): SpectralSection,
    ("calibration",): CalibrationSection,
    ("recorded",): Recorded,
    **{("model", kind): section for kind, section in SECTIONS.items()},
    ("examples", "as_of"): AsOfSection,
    ("examples", "autoencoder"): AutoencoderSection,
    ("examples", "held_out"): HeldOutSection,
    ("examples", "ranking"): RankingSection,
    ("examples", "sequence"): SequenceSection,
}
_KINDS = {path[1] for path in _SECTIONS if len(path) == 2}


def _kinds(key: str) -> list[str]:
    found = [path[1] for path in _SECTIONS if len(path) == 2 and path[0] == key]
    return [kind if kind != OWN else "module:Class of your own" for kind in found]


def _kind_of(value):
    return value.get("kind") if isinstance(value, Mapping) else value


def _keys(location: tuple) -> list[str]:
    """The valid keys at the location of a pydantic error."""
    if location and location[-1] in FEATURE_KINDS:
        return list(FEATURE_KINDS[location[-1]].model_fields)
    if location and location[-1] == "Features":
        return ["item", "user"]
    section = _SECTIONS.get(location, RunConfig)
    return list(section.model_fields)
