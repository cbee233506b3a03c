"""User tower of SASRec."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.layers import SASRecBlock
from tfrec_fusion.models.towers.block_tower import BlockTower


@keras.utils.register_keras_serializable("tfrec_fusion")
class SASRec(BlockTower):
    """Transformer over the last events: `InversePosition`, `SASRecBlock` and a final LN.

    Source: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018.

    Args, raises, input, output: see `BlockTower`.

    Example:
      >>> model = tff.models.TwoTower(split.train, dim=64, trend=False, user=SASRec(blocks=1))
      >>> batches = split.train.batches(128, examples="sequence")
    """

    def make_block(self, **options):
        return SASRecBlock(self.dim, **options)

    def build(self, input_shape):
        self.norm = keras.layers.LayerNormalization(
            epsilon=1e-8, name="norm", dtype=self.dtype_policy
        )
        super().build(input_shape)

    def encode(self, vectors, ages, present, training=None):
        return self.norm(super().encode(vectors, ages, present, training))
