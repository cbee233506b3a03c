"""Registry of the built-in backbones."""

from __future__ import annotations

from tfrec_fusion.keras_registry import KerasRegistry
from tfrec_fusion.models.backbones.backbone import Backbone

_HERE = "tfrec_fusion.models.backbones"
BACKBONES = KerasRegistry(
    "backbone",
    f"{_HERE}.backbone:Backbone",
    {
        "dcn_v2": f"{_HERE}.dcn_v2:DCNv2",
        "gdcn": f"{_HERE}.gdcn:GDCN",
        "wide_deep": f"{_HERE}.wide_deep:WideDeep",
        "deep_fm": f"{_HERE}.deep_fm:DeepFM",
        "x_deep_fm": f"{_HERE}.x_deep_fm:XDeepFM",
        "dlrm": f"{_HERE}.dlrm:DLRM",
        "auto_int": f"{_HERE}.auto_int:AutoInt",
        "mask_net": f"{_HERE}.mask_net:MaskNet",
        "final_mlp": f"{_HERE}.final_mlp:FinalMLP",
        "final_net": f"{_HERE}.final_net:FinalNet",
        "mmoe": f"{_HERE}.mmoe:MMoE",
        "din": f"{_HERE}.din:DIN",
        "bst": f"{_HERE}.bst:BST",
    },
)
DCN_OPTIONS = ("cross_layers", "hidden", "dropout")
"""Options of "dcn_v2" that are options of the ranker itself."""


def make_backbone(config) -> Backbone:
    """Builds the backbone of a `RankerConfig`."""
    options = config.backbone_options
    if config.backbone == "dcn_v2":
        options = options | {name: getattr(config, name) for name in DCN_OPTIONS}
    return BACKBONES.make(config.backbone, {"name": "backbone"}, options)
