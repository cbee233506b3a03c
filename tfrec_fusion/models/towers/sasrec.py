"""User tower of SASRec."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.layers import InversePosition, ResumableDropout, SASRecBlock
from tfrec_fusion.layers.causal_attention import check_heads
from tfrec_fusion.models.towers.sequence_tower import SequenceTower


@keras.utils.register_keras_serializable("tfrec_fusion")
class SASRec(SequenceTower):
    """Transformer over the last events: `InversePosition`, `SASRecBlock` and a final LN.

    Source: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018.

    Args:
      dim, n_users, n_items, max_len: see `SequenceTower`.
      blocks: number of blocks.
      heads: number of attention heads; `dim` must be a multiple.
      dropout: rate on the inputs and in the blocks.

    Input, output: see `UserTower`.

    Raises:
      ValueError: sizes below 1, or `dim` is no multiple of `heads`.

    Example:
      >>> model = tff.models.TwoTower(split.train, dim=64, trend=False, user=SASRec(blocks=1))
      >>> batches = split.train.batches(128, examples="sequence")
    """

    def __init__(
        self,
        dim: int | None = None,
        n_users: int | None = None,
        n_items: int | None = None,
        max_len: int = 50,
        blocks: int = 2,
        heads: int = 1,
        dropout: float = 0.2,
        **kwargs,
    ):
        super().__init__(dim, n_users, n_items, max_len, **kwargs)
        if dim is not None:
            check_heads(dim, heads)
        self.options = {"blocks": blocks, "heads": heads, "dropout": dropout}

    def build(self, input_shape):
        policy = {"dtype": self.dtype_policy}
        options = dict(self.options)
        blocks = options.pop("blocks")
        self.position = InversePosition(self.max_len, self.dim, name="position", **policy)
        self.dropout = ResumableDropout(options["dropout"], name="dropout", **policy)
        self.blocks = [
            SASRecBlock(self.dim, name=f"block_{n}", **options, **policy) for n in range(blocks)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-8, name="norm", **policy)
        super().build(input_shape)

    def encode(self, vectors, ages, present, training=None):
        found = self.dropout(self.position(vectors), training=training)
        for block in self.blocks:
            found = block(found, present, training=training)
        return self.norm(found)

    def get_config(self):
        return super().get_config() | self.options
