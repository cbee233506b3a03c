"""User tower of eSASRec."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.layers import LiGRBlock
from tfrec_fusion.models.towers.block_tower import BlockTower


@keras.utils.register_keras_serializable("tfrec_fusion")
class ESASRec(BlockTower):
    """Transformer over the last events: `InversePosition` and `LiGRBlock`.

    Source: Tikhonovich et al., "eSASRec: Enhancing Transformer-based Recommendations in a Modular
    Fashion", RecSys 2025.

    Args:
      dim, n_users, n_items, max_len, blocks, heads, dropout: see `BlockTower`.
      widening: hidden units of the blocks, in multiples of `dim`.

    Raises, input, output: see `BlockTower`.
    """

    def __init__(
        self,
        dim: int | None = None,
        n_users: int | None = None,
        n_items: int | None = None,
        max_len: int = 50,
        blocks: int = 1,
        heads: int = 1,
        dropout: float = 0.2,
        widening: int = 4,
        **kwargs,
    ):
        super().__init__(dim, n_users, n_items, max_len, blocks, heads, dropout, **kwargs)
        self.options["widening"] = widening

    def make_block(self, **options):
        return LiGRBlock(self.dim, **options)
