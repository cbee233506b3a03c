"""Registry of the built-in fusions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfrec_fusion.keras_registry import KerasRegistry
from tfrec_fusion.layers.fusion import Fusion

_HERE = "tfrec_fusion.layers"
FUSIONS = KerasRegistry(
    "fusion",
    f"{_HERE}.fusion:Fusion",
    {
        "sum": f"{_HERE}.sum_fusion:SumFusion",
        "concat": f"{_HERE}.concat_fusion:ConcatFusion",
        "additive": f"{_HERE}.additive_fusion:AdditiveFusion",
        "gate": f"{_HERE}.gate_fusion:GateFusion",
        "cross_attention": f"{_HERE}.cross_attention_fusion:CrossAttentionFusion",
        "film": f"{_HERE}.film_fusion:FilmFusion",
        "expert": f"{_HERE}.expert_fusion:ExpertFusion",
        "hybrid_expert": f"{_HERE}.hybrid_expert_fusion:HybridExpertFusion",
        "dual_view": f"{_HERE}.dual_view_fusion:DualViewFusion",
        "delta": f"{_HERE}.delta_fusion:DeltaFusion",
        "null_space": f"{_HERE}.null_space_fusion:NullSpaceFusion",
    },
)


def make_fusion(
    fusion: str | Mapping[str, Any], dim: int, options: Mapping[str, Any] | None = None
) -> Fusion:
    """Builds a fusion layer, named "fusion".

    Args:
      fusion: a key of `FUSIONS`, `module:Class` or the registered name of your own Fusion
        ("shop>MyFusion"), or a serialized layer, `keras.saving.serialize_keras_object(layer)`.
      dim: size of the fused vector.
      options: further arguments of the class.

    Raises:
      InputError: an unknown fusion, an unknown option or an invalid value, or a serialized layer of
        another `dim`.
    """
    return FUSIONS.make(fusion, {"dim": dim, "name": "fusion"}, options)
