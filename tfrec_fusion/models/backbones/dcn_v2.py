"""DCN-v2: cross layers and a deep network."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tfrs
from tfrec_fusion.layers import CrossMixture
from tfrec_fusion.layers.checks import check_choice, check_count
from tfrec_fusion.models.backbones.cross_backbone import CrossBackbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class DCNv2(CrossBackbone):
    """DCN-v2: cross layers beside or below a deep network (Wang et al., WWW 2021).

    A cross layer is `x_{l+1} = x_0 * (W x_l + b) + x_l`; W is a full matrix, or of low rank `U V`
    (`tfrs.layers.dcn.Cross`), or a mixture of low-rank experts (`CrossMixture`, DCN-Mix). The
    public peers share the gates of a mixture between layers; here each layer has its own.

    Args:
      cross_layers, hidden, dropout, structure: see `CrossBackbone`.
      rank: rank of W, or "quarter" of the width, or "full".
      experts: number of experts of a mixture; 0 for plain crosses. Mixtures need a rank.

    Input: x_0 `[..., width]` in the compute dtype.
    Output: float32; `[..., width + hidden[-1]]`, the crosses and the deep output concatenated, or
      stacked `[..., hidden[-1]]`.

    Raises:
      ValueError: an option has another value, or a mixture has the rank "full".

    Example:
      >>> DCNv2(hidden=[3])(tf.ones([1, 2, 8])).shape
      TensorShape([1, 2, 11])
      >>> DCNv2(hidden=[3], structure="stacked", rank=2, experts=4)(tf.ones([1, 2, 8])).shape
      TensorShape([1, 2, 3])
    """

    def __init__(
        self,
        cross_layers: int = 2,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.0,
        structure: str = "parallel",
        rank: int | str = "quarter",
        experts: int = 0,
        **kwargs,
    ):
        super().__init__(cross_layers, hidden, dropout, structure, **kwargs)
        if isinstance(rank, str):
            check_choice("rank", rank, ("quarter", "full"))
        else:
            check_count("rank", rank)
        check_count("experts", experts, 0)
        if experts and rank == "full":
            raise ValueError("rank must be a number or 'quarter' with experts. Received: 'full'")
        self.rank, self.experts = rank, experts

    def cross(self, width, name):
        rank = max(width // 4, 1) if self.rank == "quarter" else self.rank
        if self.experts:
            return CrossMixture(rank, self.experts, name=name, dtype=self.dtype_policy)
        rank = None if rank == "full" else rank
        return tfrs.layers.dcn.Cross(rank, name=name, dtype=self.dtype_policy)

    def get_config(self):
        return super().get_config() | {"rank": self.rank, "experts": self.experts}
