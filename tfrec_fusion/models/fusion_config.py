"""How a model makes one vector of an item's id and vectors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from tfrec_fusion.errors import InputError

_STORAGES = ("float32", "bfloat16", "float16", "int8")


class FusionConfig(BaseModel):
    """The options of `ItemTower` that every model with one has.

    Attributes:
      dim: size of the item vector.
      fusion: how an item's id and vectors become one: a key of `tfrec_fusion.layers.FUSIONS`, the
        registered name of your own `Fusion` ("shop>MyFusion"), or a serialized one.
      fusion_options: further arguments of the fusion's class, e.g. `{"bound": None}` for "delta".
      modality_dropout: probability that an input of an item (its id, or one of its vectors) is
        hidden in a training step, never all that it has.
      storage: dtype of the frozen vectors in memory and on disk: "float32", "bfloat16", "float16"
        or "int8", one for all or name -> dtype.
      mixed_precision: whether layers compute in bfloat16; weights and scores are float32. Without
        it they follow Keras's global policy.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dim: PositiveInt = 128
    fusion: str | dict[str, Any] = "sum"
    fusion_options: dict[str, Any] = {}
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    storage: str | dict[str, str] = "float32"
    mixed_precision: bool = False

    @field_validator("fusion")
    @classmethod
    def _known(cls, fusion):
        if isinstance(fusion, str):
            from tfrec_fusion.layers.fusions import fusion_class

            _without_value(fusion_class, fusion)
        return fusion

    @field_validator("fusion_options")
    @classmethod
    def _taken(cls, options, info):
        fusion = info.data.get("fusion")
        if options and "fusion" in info.data and fusion is None:
            raise ValueError("are those of a fusion; name it too")
        if options and fusion is not None:
            from tfrec_fusion.layers.fusions import check_options

            _without_value(check_options, fusion, options)
        return options

    @field_validator("storage")
    @classmethod
    def _stored(cls, storage):
        given = storage.values() if isinstance(storage, dict) else [storage]
        if any(value not in _STORAGES for value in given):
            raise ValueError(f"must be one of {', '.join(_STORAGES)}, or name -> one of them")
        return storage


def _without_value(check, *arguments) -> None:
    """Runs a check; its error goes without the value, which pydantic's report adds."""
    try:
        check(*arguments)
    except InputError as error:
        raise ValueError(str(error).rpartition(". Received: ")[0]) from None
