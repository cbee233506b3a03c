"""Registry of the built-in backbones."""

from __future__ import annotations

from typing import Any

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.keras_registry import KerasRegistry
from tfrec_fusion.layers.outputs import checked_output
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
        "ple": f"{_HERE}.ple:PLE",
        "din": f"{_HERE}.din:DIN",
        "bst": f"{_HERE}.bst:BST",
    },
)
DCN_OPTIONS = ("cross_layers", "hidden", "dropout")
"""Options of "dcn_v2" that are options of the ranker itself."""
GIVEN = ("tasks",)
"""Arguments of a backbone that the ranker sets."""


def make_backbone(config) -> Backbone:
    """Builds the backbone of a `RankerConfig`."""
    options = config.backbone_options
    if config.backbone == "dcn_v2":
        options = options | {name: getattr(config, name) for name in DCN_OPTIONS}
    given: dict[str, Any] = {"name": "backbone"}
    tasks = len(config.heads or [])
    if tasks > 1 and BACKBONES.class_of(config.backbone).splits_tasks:
        given["tasks"] = tasks
    return BACKBONES.make(config.backbone, given, options)


def representations(backbone: Backbone, output: tf.Tensor, tasks: int) -> list[tf.Tensor]:
    """Returns the representation `[B, N, columns]` of each head, from a backbone's output.

    Raises:
      InputError: the output has another rank, or another number of representations.
    """
    what = f"Ranker: backbone: {type(backbone).__name__}"
    if tasks == 1 or not backbone.splits_tasks:
        return [checked_output(what, output, "[B, N, any number]", rank=3)] * tasks
    shape = f"[B, N, {tasks}, any number]"
    output = checked_output(what, output, shape, rank=4)
    if output.shape[2] not in (None, tasks):
        raise InputError(f"{what} must return floats {shape}. Received: {output.shape}")
    return tf.unstack(output, tasks, axis=2)
