"""Options for fusing an item's id and vectors, shared by several models."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.declared import Features

if TYPE_CHECKING:
    from tfrec_fusion.keras_registry import KerasRegistry

_STORAGES = ("float32", "bfloat16", "float16", "int8")


class FusionConfig(BaseModel):
    """Options of `ItemTower`, shared by every model that has one.

    Attributes:
      dim: size of the item vector.
      fusion: how to fuse an item's id and vectors: a key of `tfrec_fusion.layers.FUSIONS`,
        `module:Class` or the registered name of your own `Fusion` ("shop>MyFusion"), or in Python
        the class or an object.
      fusion_options: further arguments of the fusion's class, e.g. `{"bound": None}` for "delta".
      modality_dropout: probability that training hides an input of an item (its id, or one of its
        vectors); at least one input always remains.
      storage: dtype of the frozen vectors in memory and on disk: "float32", "bfloat16", "float16"
        or "int8", one for all or name -> dtype.
      mixed_precision: whether layers compute in bfloat16; weights and scores stay float32. If
        False, layers follow Keras's global policy.
      features: declared features of items, users, the context and past events: a `Features`, its
        mapping, or "infer".
      item_features: "added" adds the vector of an item's declared features to the fused vector;
        "fused" makes it one more input of the fusion, beside the id and the vectors.
      feature_dim: size of the embedding of a declared feature's category.
      context_dropout: probability that training hides the declared context features of a row but
        those of its time, so that the model learns to score requests that give none.
      event_dropout: probability that training hides the declared features of all events of a row's
        history, so that the model learns to score histories of which only the items are known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dim: PositiveInt = 128
    fusion: str | dict[str, Any] = "sum"
    fusion_options: dict[str, Any] = {}
    modality_dropout: float = Field(default=0.0, ge=0, lt=1)
    storage: str | dict[str, str] = "float32"
    mixed_precision: bool = False
    features: Features | Literal["infer"] = Features()
    item_features: Literal["added", "fused"] = "added"
    feature_dim: PositiveInt = 16
    context_dropout: float = Field(default=0.2, ge=0, lt=1)
    event_dropout: float = Field(default=0.2, ge=0, lt=1)

    @field_validator("features", mode="before")
    @classmethod
    def _mapping_or_infer(cls, features):
        if isinstance(features, str) and features != "infer":
            raise ValueError(
                "must be a Features, a mapping with item, user, context and event, or 'infer'"
            )
        return features

    @property
    def declared(self) -> Features:
        """The declared features; none as long as they are to be inferred."""
        return self.features if isinstance(self.features, Features) else Features()

    def with_features(self, train: Any) -> Self:
        """Returns the config with `Features.infer(train)` in the place of "infer"."""
        if self.features != "infer":
            return self
        return self.model_copy(update={"features": Features.infer(train)})

    @field_validator("fusion", mode="before")
    @classmethod
    def _known(cls, fusion):
        from tfrec_fusion.layers.fusions import FUSIONS

        return None if fusion is None else known_part(FUSIONS, fusion)

    @field_validator("fusion_options")
    @classmethod
    def _taken(cls, options, info):
        from tfrec_fusion.layers.fusions import FUSIONS

        return taken_options(FUSIONS, options, info, ["dim"])

    @field_validator("item_features")
    @classmethod
    def _fusible(cls, item_features, info):
        from tfrec_fusion.layers.fusions import FUSIONS

        fusion = info.data.get("fusion")
        if item_features == "fused" and fusion is not None:
            chosen = FUSIONS.class_of(fusion)
            if chosen.frozen_content:
                raise ValueError(
                    f"must be 'added' with {chosen.__name__}, which fuses frozen vectors alone; or "
                    "choose another fusion"
                )
        return item_features

    @field_validator("storage")
    @classmethod
    def _stored(cls, storage):
        given = storage.values() if isinstance(storage, dict) else [storage]
        if any(value not in _STORAGES for value in given):
            raise ValueError(f"must be one of {', '.join(_STORAGES)}, or name -> one of them")
        return storage


def known_part(registry: KerasRegistry, value):
    """Validates a config value that names a part, and returns its serializable description."""
    with without_value(registry.kind):
        described = registry.described(value)
        registry.class_of(described)
        return described


def taken_options(registry: KerasRegistry, options: dict, info, given: Collection[str]) -> dict:
    """Validates the field `<kind>_options` against the constructor of the chosen part."""
    part = info.data.get(registry.kind)
    if options and registry.kind in info.data and part is None:
        raise ValueError(f"need a {registry.kind}; set {registry.kind} as well")
    if options and part is not None:
        with without_value(registry.kind):
            registry.check_options(part, options, given)
    return options


def checked_part(registry: KerasRegistry, part: str, options: dict) -> None:
    """Validates the values of a built-in part's options, which its constructor checks."""
    with without_value(f"{registry.kind}_options"):
        registry.make(part, {}, options)


def known_loss(loss: str | dict[str, str] | None) -> str | dict[str, str] | None:
    """Validates names of losses, of one or of each term; `compile` imports a `module:Class`."""
    from tfrec_fusion.models.objectives.catalogue import AUXILIARY_LOSSES, OBJECTIVES
    from tfrec_fusion.models.objectives.joint import check_names

    terms = loss if isinstance(loss, dict) else {}
    with without_value("loss"):
        if isinstance(loss, dict):
            check_names(loss)
        elif loss is not None and ":" not in loss:
            OBJECTIVES.resolve(loss)
    known = [*OBJECTIVES, *AUXILIARY_LOSSES]
    for name, term in terms.items():
        if ":" not in term and term not in known:
            raise ValueError(
                f"{name!r}: must be one of {', '.join(known)}, or module:Class of your own"
            )
    return loss


def known_weights(weights: dict[str, float] | None, info) -> dict[str, float] | None:
    """Validates the field `loss_weights` against the terms of the field `loss`."""
    from tfrec_fusion.models.objectives.joint import checked_weights

    loss = info.data.get("loss")
    if weights is None or "loss" not in info.data:
        return weights
    if not isinstance(loss, dict):
        raise ValueError("are for a loss of several terms, from names to losses; set loss as well")
    with without_value("loss_weights"):
        return checked_weights(loss, weights)


@contextmanager
def without_value(kind: str) -> Iterator[None]:
    """Strips field and value from an InputError, because pydantic's message adds both."""
    try:
        yield
    except InputError as error:
        said = str(error).removeprefix(f"{kind}: ")
        raise ValueError(said.rpartition(". Received: ")[0] or said) from None
