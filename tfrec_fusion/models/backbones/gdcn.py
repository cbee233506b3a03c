"""GDCN: gated cross layers and a deep network."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras
from tfrec_fusion.layers import GatedCross
from tfrec_fusion.models.backbones.cross_backbone import CrossBackbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class GDCN(CrossBackbone):
    """GDCN: `x_{l+1} = x_0 * (W x_l + b) * sigmoid(V x_l) + x_l` and a deep network.

    The gate lets a layer drop crosses that say nothing, so that more layers may be stacked (Wang et
    al., CIKM 2023): GDCN-P with structure "parallel", GDCN-S with "stacked".

    Args:
      cross_layers: number of cross layers; with 0 their output is x_0.
      hidden: units of the deep layers; without any they return their input.
      dropout: dropout rate in [0, 1) of the deep layers.
      structure: "parallel" for both on x_0, or "stacked" for the deep network on the crosses.

    Input: x_0 `[..., width]` in the compute dtype.
    Output: float32; `[..., width + hidden[-1]]`, the crosses and the deep output concatenated, or
      stacked `[..., hidden[-1]]`.

    Raises:
      ValueError: an option has another value.

    Example:
      >>> GDCN(hidden=[3])(tf.ones([1, 2, 8])).shape
      TensorShape([1, 2, 11])
    """

    def __init__(
        self,
        cross_layers: int = 3,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.0,
        structure: str = "parallel",
        **kwargs,
    ):
        super().__init__(cross_layers, hidden, dropout, structure, **kwargs)

    def cross(self, width, name):
        return GatedCross(name=name, dtype=self.dtype_policy)
