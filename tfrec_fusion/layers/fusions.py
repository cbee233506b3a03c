"""The fusions by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from tfrec_fusion._compat import keras
from tfrec_fusion.errors import InputError
from tfrec_fusion.layers.additive_fusion import AdditiveFusion
from tfrec_fusion.layers.concat_fusion import ConcatFusion
from tfrec_fusion.layers.cross_attention_fusion import CrossAttentionFusion
from tfrec_fusion.layers.delta_fusion import DeltaFusion
from tfrec_fusion.layers.dual_view_fusion import DualViewFusion
from tfrec_fusion.layers.expert_fusion import ExpertFusion
from tfrec_fusion.layers.film_fusion import FilmFusion
from tfrec_fusion.layers.fusion import Fusion
from tfrec_fusion.layers.gate_fusion import GateFusion
from tfrec_fusion.layers.hybrid_expert_fusion import HybridExpertFusion
from tfrec_fusion.layers.null_space_fusion import NullSpaceFusion
from tfrec_fusion.layers.sum_fusion import SumFusion

FUSIONS: dict[str, type[Fusion]] = {
    "sum": SumFusion,
    "concat": ConcatFusion,
    "additive": AdditiveFusion,
    "gate": GateFusion,
    "cross_attention": CrossAttentionFusion,
    "film": FilmFusion,
    "expert": ExpertFusion,
    "hybrid_expert": HybridExpertFusion,
    "dual_view": DualViewFusion,
    "delta": DeltaFusion,
    "null_space": NullSpaceFusion,
}


def make_fusion(
    fusion: str | Mapping[str, Any], dim: int, options: Mapping[str, Any] | None = None
) -> Fusion:
    """A new fusion layer, named "fusion".

    Args:
      fusion: a key of `FUSIONS`, the registered name of your own Fusion ("shop>MyFusion"), or a
        serialized layer, `keras.saving.serialize_keras_object(layer)`.
      dim: size of the fused vector.
      options: further arguments of the class.

    Raises:
      InputError: an unknown fusion, an option that the class does not take or a bad value, or a
        serialized layer of another `dim`.
    """
    options = dict(options or {})
    check_options(fusion, options)
    if isinstance(fusion, Mapping):
        return _deserialized(fusion, dim)
    try:
        return fusion_class(fusion)(dim, name="fusion", **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"fusion_options: {' '.join(str(error).split())}") from None


def check_options(fusion: str | Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raises InputError where `options` has a name that the class of `fusion` does not take."""
    if isinstance(fusion, Mapping):
        if options:
            raise InputError(
                "a serialized fusion has its options in itself; leave fusion_options out. "
                f"Received: {sorted(options)}"
            )
        return
    names = option_names(fusion_class(fusion))
    unknown = [name for name in options if name not in names]
    if unknown:
        raise InputError(
            f"fusion {fusion!r} takes {', '.join(names) or 'no options'}. Received: {unknown[0]!r}"
        )


def fusion_class(name: str) -> type[Fusion]:
    """The class of a name; see `make_fusion`."""
    found = FUSIONS.get(name) or keras.saving.get_registered_object(name)
    if not (isinstance(found, type) and issubclass(found, Fusion)):
        raise InputError(
            f"must be one of {', '.join(FUSIONS)}, or the registered name of a Fusion "
            f"whose module is imported, e.g. 'shop>MyFusion'. Received: {name!r}"
        )
    return found


def option_names(found: type[Fusion]) -> list[str]:
    """What `fusion_options` may name for a class: its own arguments."""
    skipped = {"self", "dim", "kwargs"}
    parameters = inspect.signature(found.__init__).parameters.values()
    return [p.name for p in parameters if p.name not in skipped and p.kind != p.VAR_KEYWORD]


def _deserialized(fusion: Mapping[str, Any], dim: int) -> Fusion:
    try:
        layer = keras.saving.deserialize_keras_object(dict(fusion))
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"fusion: cannot be built from its config ({' '.join(str(error).split())[:200]})"
        ) from None
    if not isinstance(layer, Fusion) or layer.dim != dim:
        raise InputError(f"fusion: must be a serialized Fusion of dim {dim}. Received: {layer!r}")
    return layer
