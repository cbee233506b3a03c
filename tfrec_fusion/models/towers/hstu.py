"""User tower of HSTU."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.layers import HSTUBlock
from tfrec_fusion.models.towers.block_tower import BlockTower


@keras.utils.register_keras_serializable("tfrec_fusion")
class HSTU(BlockTower):
    """Pointwise attention over the last events with biases of position and time: `HSTUBlock`.

    Source: Zhai et al., "Actions Speak Louder than Words", ICML 2024.

    Args, raises, input, output: see `BlockTower`.
    """

    def make_block(self, **options):
        return HSTUBlock(self.dim, max_len=self.max_len, **options)

    def read(self, block, sequences, present, ages, training):
        return block(sequences, present, ages, training=training)
