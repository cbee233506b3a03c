"""How a model makes one vector of an item's id and vectors."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Storage = Literal["float32", "float16", "int8"]


class FusionConfig(BaseModel):
    """The options of `ItemTower` that every model with one has.

    Attributes:
      fusion: how an item's id and vectors become one: a key of `tfrec_fusion.layers.FUSIONS`, the
        registered name of your own `Fusion` ("shop>MyFusion"), or a serialized one.
      fusion_options: further arguments of the fusion's class, e.g. `{"bound": None}` for "delta".
      modality_dropout: probability that an input of an item (its id, or one of its vectors) is
        hidden in a training step, never all that it has.
      storage: dtype of the frozen vectors in memory and on disk: "float32", "float16" or "int8",
        one for all or name -> dtype.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fusion: str | dict[str, Any] = "sum"
    fusion_options: dict[str, Any] = {}
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    storage: Storage | dict[str, Storage] = "float32"

    @field_validator("fusion")
    @classmethod
    def _known(cls, fusion):
        if isinstance(fusion, str):
            from tfrec_fusion.layers.fusions import fusion_class

            fusion_class(fusion)
        return fusion

    @field_validator("fusion_options")
    @classmethod
    def _taken(cls, options, info):
        fusion = info.data.get("fusion")
        if options and fusion is not None:
            from tfrec_fusion.layers.fusions import check_options

            check_options(fusion, options)
        return options
