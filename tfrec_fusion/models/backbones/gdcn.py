"""GDCN: gated cross layers and a deep network."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.layers import GatedCross
from tfrec_fusion.models.backbones.cross_backbone import CrossBackbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class GDCN(CrossBackbone):
    """GDCN: `x_{l+1} = x_0 * (W x_l + b) * sigmoid(V x_l) + x_l` and a deep network.

    The gate lets a layer drop crosses that say nothing, so that more layers may be stacked (Wang et
    al., CIKM 2023): GDCN-P with structure "parallel", GDCN-S with "stacked".

    Args:
      cross_layers, hidden, dropout, structure: see `CrossBackbone`.

    Input: x_0 `[..., width]` in the compute dtype.
    Output: float32; `[..., width + hidden[-1]]`, the crosses and the deep output concatenated, or
      stacked `[..., hidden[-1]]`.

    Example:
      >>> GDCN(hidden=[3])(tf.ones([1, 2, 8])).shape
      TensorShape([1, 2, 11])
    """

    def cross(self, width, name):
        return GatedCross(name=name, dtype=self.dtype_policy)
