"""Base class of the sequence towers that are a stack of equal blocks."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import InversePosition, ResumableDropout
from tfrec_fusion.layers.causal_attention import check_heads
from tfrec_fusion.layers.checks import check_count, check_rate
from tfrec_fusion.models.towers.sequence_tower import SequenceTower


class BlockTower(SequenceTower):
    """Encodes sequences by `InversePosition`, dropout and equal blocks, one after the other.

    A subclass implements `make_block`; it may have further options, which it adds to `options`.

    Args:
      dim, n_users, n_items, max_len: see `SequenceTower`.
      blocks: number of blocks.
      heads: number of attention heads; `dim` must be a multiple.
      dropout: rate on the inputs and in the blocks.

    Input, output: see `UserTower`.

    Raises:
      ValueError: sizes below 1, a `dropout` outside [0, 1), or `dim` is no multiple of `heads`.
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
        check_count("blocks", blocks)
        check_rate(dropout)
        if dim is not None:
            check_heads(dim, heads)
        self.options = {"blocks": blocks, "heads": heads, "dropout": dropout}

    def make_block(self, **options) -> keras.layers.Layer:
        """Returns a block of `dim` columns.

        Args:
          **options: those of the tower but for `blocks`, with `name` and `dtype`.
        """
        raise NotImplementedError

    def read(
        self, block: keras.layers.Layer, sequences: tf.Tensor, present, ages, training
    ) -> tf.Tensor:
        """Calls a block on `[B, L, dim]`; blocks that read ages override it."""
        return block(sequences, present, training=training)

    def build(self, input_shape):
        policy = {"dtype": self.dtype_policy}
        options = {name: value for name, value in self.options.items() if name != "blocks"}
        self.position = InversePosition(self.max_len, self.dim, name="position", **policy)
        self.dropout = ResumableDropout(self.options["dropout"], name="dropout", **policy)
        self.blocks = [
            self.make_block(name=f"block_{n}", **options, **policy)
            for n in range(self.options["blocks"])
        ]
        super().build(input_shape)

    def encode(self, vectors, ages, present, training=None):
        found = self.dropout(self.position(vectors), training=training)
        for block in self.blocks:
            found = self.read(block, found, present, ages, training)
        return found

    def get_config(self):
        return super().get_config() | self.options
