"""Registry of the built-in backbones."""

from __future__ import annotations

from tfrec_fusion.keras_registry import KerasRegistry
from tfrec_fusion.models.backbones.backbone import Backbone

_HERE = "tfrec_fusion.models.backbones"
BACKBONES = KerasRegistry(
    "backbone", f"{_HERE}.backbone:Backbone", {"dcn_v2": f"{_HERE}.dcn_v2:DCNv2"}
)


def make_backbone(config) -> Backbone:
    """Builds the backbone of a `RankerConfig`."""
    options = config.backbone_options
    if config.backbone == "dcn_v2":
        names = ("cross_layers", "hidden", "dropout")
        options = {name: getattr(config, name) for name in names}
    return BACKBONES.make(config.backbone, {"name": "backbone"}, options)
