"""Search spaces of `tune`: which keys of a run's config are tried, and within which values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StrictBool,
    ValidationError,
    model_validator,
)

from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.config_files import merged

_FIXED = ("data", "split", "seed", "from_run", "recorded", "rerank", "evaluate_every")
_FIXED_KEYS = (*_FIXED, "time_budget", "examples.kind", "model.kind")


def _label(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return json.dumps(value, sort_keys=True)


class Dimension(BaseModel):
    """The values of one key: a range from `low` to `high`, or `choices`.

    Attributes:
      low, high: bounds of a range, both included.
      log: whether the range is searched on a logarithmic scale; needs `low` above 0.
      integer: whether only whole numbers are tried; `checked_space` sets it by the key's type.
      choices: the values to try.
      when: other keys and the values of each with which this key is tried at all. A key of the
        space must stand before; others have the value of the config.

    Example:
      >>> Dimension(low=1, high=1000, log=True).contains(200.0)
      True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: int | FiniteFloat | None = None
    high: int | FiniteFloat | None = None
    log: StrictBool = False
    integer: StrictBool = False
    choices: list[Any] | None = Field(default=None, min_length=1)
    when: dict[str, list[Any]] = {}

    @model_validator(mode="after")
    def _one_form(self) -> Dimension:
        bounds = (self.low, self.high)
        if (self.choices is None) == (bounds == (None, None)):
            raise ValueError("must have either low and high, or choices")
        if self.choices is not None:
            if self.log:
                raise ValueError("log is for a range from low to high; leave it out with choices")
            if len({_label(value) for value in self.choices}) < len(self.choices):
                raise ValueError("choices has a value twice; keep one")
            return self
        if self.low is None or self.high is None or not self.low < self.high:
            raise ValueError("low must be below high, and both are needed")
        if self.log and self.low <= 0:
            raise ValueError("log needs low above 0")
        return self

    def probes(self) -> list[Any]:
        """Returns the values to check a key with: the bounds, or all choices."""
        return [self.low, self.high] if self.choices is None else self.choices

    def contains(self, value: Any) -> bool:
        """Whether a value is one of those that the search can try."""
        if self.choices is not None:
            return _label(value) in {_label(one) for one in self.choices}
        if self.low is None or self.high is None or isinstance(value, bool):
            return False
        return isinstance(value, int | float) and self.low <= value <= self.high

    def applies(self, value_of: Any) -> bool:
        """Whether the key is tried, given a function from other keys to their values."""
        return all(value_of(key) in allowed for key, allowed in self.when.items())

    def label(self, value: Any) -> Any:
        """Returns a value as the sampler knows it: lists and mappings are JSON."""
        return value if self.choices is None else _label(value)

    def suggest(self, trial: Any, key: str) -> Any:
        """Asks an Optuna trial for the key's value."""
        if self.choices is not None:
            by_label = {_label(value): value for value in self.choices}
            return by_label[trial.suggest_categorical(key, list(by_label))]
        if self.integer:
            return trial.suggest_int(key, self.low, self.high, log=self.log)
        return trial.suggest_float(key, self.low, self.high, log=self.log)


Space = dict[str, Dimension]


def _range(low, high, *, log=False, integer=False, **when) -> Dimension:
    return Dimension(low=low, high=high, log=log, integer=integer, when=_when(when))


def _choices(*values, **when) -> Dimension:
    return Dimension(choices=list(values), when=_when(when))


def _when(given: dict[str, list]) -> dict[str, list]:
    return {f"model.{name}": allowed for name, allowed in given.items()}


_K = _range(10, 500, log=True, integer=True)
_LINEAR = {"model.l2": _range(1.0, 5000.0, log=True)}
_LINEAR_TIMED = {
    "model.half_life_days": _choices(None, 7.0, 30.0, 90.0, 365.0),
    "model.trend_power": _choices(0.0, 0.25, 0.5, 1.0),
}
_SPECTRAL = {"regularization": _range(10.0, 5000.0, log=True), "user_power": _range(0.0, 0.75)}

SPACES: dict[str, Space] = {
    "ease": _LINEAR,
    "sparse_ease": {**_LINEAR, "model.neighbours": _choices(50, 100, 200)},
    "item_knn": {
        "model.k": _K,
        "model.similarity": _choices("cosine", "tf_idf", "bm25"),
        "model.shrinkage": _range(0.0, 200.0, similarity=["cosine", "tf_idf"]),
        "model.bm25_k1": _range(0.2, 5.0, log=True, similarity=["bm25"]),
        "model.bm25_b": _range(0.0, 1.0, similarity=["bm25"]),
    },
    "user_knn": {
        "model.k": _K,
        "model.similarity": _choices("cosine", "tf_idf"),
        "model.shrinkage": _range(0.0, 200.0),
    },
    "ials": {
        "model.dim": _choices(32, 64, 128, 256),
        "model.unobserved_weight": _range(1e-3, 1.0, log=True),
        "model.l2": _range(1e-3, 0.5, log=True),
        "model.l2_exponent": _range(0.0, 1.0),
    },
    "rp3beta": {
        "model.k": _K,
        "model.alpha": _range(0.1, 2.0),
        "model.beta": _range(0.0, 1.0),
    },
    "light_gcn": {
        "model.dim": _choices(32, 64, 128),
        "model.layers": _range(1, 4, integer=True),
        "model.learning_rate": _range(1e-3, 0.05, log=True),
        "model.l2": _range(1e-5, 0.1, log=True),
    },
    "spectral": {
        **{f"model.{name}": one for name, one in _SPECTRAL.items()},
        "model.popularity_power": _range(0.0, 0.5),
    },
    "recent_popularity": {"model.share": _range(0.005, 1.0, log=True)},
    "text_mean": {},
    "two_tower": {
        "learning_rate": _range(3e-4, 3e-2, log=True),
        "batch_size": _choices(128, 256, 512, 1024),
        "model.dim": _choices(32, 64, 128, 256),
        "model.id_dropout": _range(0.0, 0.5),
        "model.id_l2": _range(1e-6, 1e-2, log=True),
    },
    "ranker": {
        "learning_rate": _range(1e-4, 1e-2, log=True),
        "batch_size": _choices(512, 1024, 2048),
        "model.dim": _choices(16, 32, 64, 128),
        "model.id_dropout": _range(0.0, 0.5),
        "model.id_l2": _range(1e-8, 1e-3, log=True),
        "model.dropout": _range(0.0, 0.5),
    },
}
"""Kind of model -> its default space, without the keys that depend on the data."""

EXAMPLES: dict[str, Space] = {
    "as_of": {
        "examples.horizon_days": _range(7.0, 120.0, log=True),
        "model.decay_days": _range(5.0, 120.0, log=True),
    },
    "autoencoder": {"examples.dropout": _range(0.0, 0.6)},
    "held_out": {"examples.share": _range(0.05, 0.5)},
    "ranking": {},
    "sequence": {},
}
"""Kind of training examples -> what is tried with them, for models trained in epochs."""

STARTED: Space = {
    "learning_rate": _range(1e-5, 1e-3, log=True),
    "batch_size": _choices(128, 256, 512),
    **{f"spectral.{name}": one for name, one in _SPECTRAL.items()},
}
"""The default space of a two-tower with a spectral start, in place of that of the kind."""


def default_space(config: RunConfig, train: Interactions) -> Space:
    """Returns the default space of a resolved config.

    The weight of texts is tried where the catalogue has vectors, decay and trends where events have
    times.

    Raises:
      InputError: the kind of model has no default space.
    """
    kind = config.model.kind
    if kind not in SPACES:
        raise InputError(
            f"tune: there is no default space for model.kind {kind!r}; pass one, or tune one of "
            f"{', '.join(SPACES)}. Received: no space"
        )
    space = dict(SPACES[kind])
    names, model = list(train.catalogue.vectors), config.model
    text = _range(1.0, 100.0, log=True)
    if kind == "two_tower" and config.spectral:
        space = dict(STARTED)
        if names:
            space["spectral.text_weight"] = text
    elif kind == "text_mean":
        store = train.catalogue.vectors.get(getattr(model, "vectors", ""))
        most = 0 if store is None else store.values.shape[1]
        space["model.dims"] = _choices(*({d for d in (16, 32, 64, 128, 256) if d <= most} | {most}))
    elif kind == "spectral" and names:
        space["model.text_weight"] = text
    elif kind in ("ease", "sparse_ease"):
        if train.timestamp is not None:
            space |= _LINEAR_TIMED
        given = getattr(model, "vectors", None)
        if given is None and names:
            space["model.vectors"] = _choices(None, names[0])
        if given is not None or names:
            space["model.text_weight"] = _range(1.0, 1000.0, log=True, vectors=[given or names[0]])
    if config.by_gradient:
        space |= EXAMPLES[getattr(config.examples, "kind", "ranking")]
        if getattr(model, "backbone", "dcn_v2") != "dcn_v2":
            space.pop("model.dropout", None)
        if getattr(model, "user", None) not in ("history", "both"):
            space.pop("model.decay_days", None)  # an own tower may have no such key
    return space


def checked_space(values: Mapping[str, Any], config: RunConfig, source: str = "space") -> Space:
    """Checks a user's space against the schema of a run's config.

    Args:
      values: key path of the config, e.g. `model.l2` -> `{"low":, "high":, "log":}` or
        `{"choices":}`, each with `when` on request, or a `Dimension`.
      config: resolved; its model and examples say which keys there are.
      source: name of the space in errors.

    Raises:
      InputError: one line that names the key: it is unknown or the same in all trials, a bound or a
        choice is no value of it, or its description is malformed.

    Example:
      >>> config = tff.training.RunConfig.load("shop.yaml")
      >>> space = checked_space({"model.dim": {"low": 8, "high": 64, "log": True}}, config)
      >>> space["model.dim"].integer
      True
    """
    if not isinstance(values, Mapping) or not values:
        raise InputError(
            f"{source}: must be a mapping of one key of the config or more, e.g. model.l2: "
            f"{{low: 1, high: 1000, log: true}}. Received: {values!r}"
        )
    base, space = given_values(config), {}
    for key, value in values.items():
        name = f"{source}: {key}"
        if not isinstance(key, str) or not all(key.split(".")):
            raise InputError(f"{source}: a key must be a path such as model.l2. Received: {key!r}")
        if key in _FIXED_KEYS or key.partition(".")[0] in _FIXED:
            raise InputError(
                f"{name}: is the same in all trials, so that they can be compared; set it in the "
                "config"
            )
        one = _dimension(value, name)
        for probe in one.probes():
            problem = _problem(base, key, probe, source)
            if problem is not None:
                raise InputError(problem)
        for other in one.when:
            if other not in space and _value(config, other) is _MISSING:
                raise InputError(
                    f"{name}: when: must name a key of the config, or one that stands before it "
                    f"in the space. Received: {other!r}"
                )
        if one.choices is None:
            middle = float(one.low) + 0.5  # pyright: ignore[reportArgumentType]
            whole = _problem(base, key, middle, source) is not None
            one = one.model_copy(update={"integer": whole or one.integer})
        space[key] = one
    return space


def given_values(config: RunConfig) -> dict[str, Any]:
    """Returns the keys that a config sets itself, as nested mappings for `RunConfig.of`."""
    values = config.model_dump(mode="json", exclude_unset=True, exclude={"recorded"})
    values["model"] = {"kind": config.model.kind, **values.get("model", {})}
    return values


def with_values(base: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested mappings with the values of some key paths replaced."""
    values = dict(base)
    for key, value in chosen.items():
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        values = merged(values, nested)
    return values


def suggested(trial: Any, space: Space, config: RunConfig) -> dict[str, Any]:
    """Asks an Optuna trial for the values of a space; `config` has those of other keys."""
    chosen: dict[str, Any] = {}
    for key, one in space.items():
        if one.applies(lambda other: chosen.get(other, _value(config, other))):
            chosen[key] = one.suggest(trial, key)
    return chosen


def own_values(space: Space, config: RunConfig) -> dict[str, Any]:
    """Returns those of a resolved config's values that a space has, as the sampler knows them."""
    found = {key: _value(config, key) for key in space}
    return {
        key: one.label(found[key])
        for key, one in space.items()
        if one.contains(found[key]) and one.applies(lambda other: _value(config, other))
    }


_MISSING: Any = object()


def _value(config: Any, key: str) -> Any:
    """The value of a key path in a config; `_MISSING` without such a key."""
    for part in key.split("."):
        config = (
            config.get(part, _MISSING)
            if isinstance(config, Mapping)
            else getattr(config, part, _MISSING)
        )
    return config


def _dimension(value: Any, name: str) -> Dimension:
    if isinstance(value, Dimension):
        return value
    if not isinstance(value, Mapping):
        raise InputError(
            f"{name}: must be {{low: ..., high: ..., log: true}} or {{choices: [...]}}. "
            f"Received: {value!r}"
        )
    try:
        return Dimension.model_validate(dict(value))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"][:1])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = "unknown; known are low, high, log, integer, choices and when"
        at = f"{name}.{path}" if path else name
        raise InputError(f"{at}: {message}. Received: {dict(value)!r}") from None


def _problem(base: Mapping[str, Any], key: str, value: Any, source: str) -> str | None:
    """Why a key cannot have a value; None if it can, perhaps with other values beside it."""
    try:
        RunConfig.of(with_values(base, {key: value}), source)
    except InputError as error:
        # Other errors of a whole section are of a combination, which other keys may complete.
        at, section = f"{source}: {key}", f"{source}: {key.partition('.')[0]}"
        own = str(error).startswith((f"{at}:", f"{at}.", f"{section} applies only"))
        return str(error) if own else None
    return None
