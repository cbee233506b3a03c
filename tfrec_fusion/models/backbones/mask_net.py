"""MaskNet: networks whose inputs are masked by the features of a row."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import MLP, MaskBlock
from tfrec_fusion.layers.checks import check_choice, check_count, check_rate, checked_units
from tfrec_fusion.models.backbones.field_backbone import FieldBackbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class MaskNet(FieldBackbone):
    """MaskNet: mask blocks one after the other, or side by side under a deep network.

    A block is `relu(LN(W (m * v)))` with a mask m that a network computes from all fields e; v is
    the concatenation of the layer-normalised fields, or the output of the block before (Wang et
    al., DLP-KDD 2021; `MaskBlock`).

    Args:
      structure: "parallel" or "serial".
      hidden: units of the serial blocks, or of the layers on the parallel blocks.
      blocks: number of parallel blocks.
      block_units: units of a parallel block.
      reduction: hidden units of a mask's network, in multiples of the width that it masks.
      dropout: dropout rate in [0, 1) of blocks and layers.

    Input: a dict of "fields", "features" and "numbers", see `FieldBackbone`.
    Output: `[B, N, hidden[-1]]` float32.

    Example:
      >>> fields = {"item": tf.ones([1, 2, 4]), "user": tf.ones([1, 1, 4])}
      >>> MaskNet(hidden=[3])(
      ...     {"fields": fields, "features": {}, "numbers": tf.ones([1, 2, 5])}
      ... ).shape
      TensorShape([1, 2, 3])
    """

    reads = ("fields", "features", "numbers")

    def __init__(
        self,
        structure: str = "parallel",
        hidden: Sequence[int] = (128, 64),
        blocks: int = 2,
        block_units: int = 64,
        reduction: float = 1.0,
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_choice("structure", structure, ("parallel", "serial"))
        check_count("blocks", blocks)
        check_rate(dropout)
        self.options = {
            "structure": structure,
            "hidden": checked_units(hidden, least=1),
            "blocks": blocks,
            "block_units": block_units,
            "reduction": reduction,
            "dropout": dropout,
        }
        policy = {"dtype": self.dtype_policy}
        units = hidden if structure == "serial" else [block_units] * blocks
        self.mask_blocks = [
            MaskBlock(size, reduction, dropout, name=f"block_{index}", **policy)
            for index, size in enumerate(units)
        ]
        deep = hidden if structure == "parallel" else ()
        self.deep = MLP(deep, dropout=dropout, name="deep", **policy)

    def build(self, input_shape):
        super().build(input_shape)
        self.norms = [
            keras.layers.LayerNormalization(
                epsilon=1e-5, name=f"norm_{index}", dtype=self.dtype_policy
            )
            for index in range(self.n_fields)
        ]

    def interact(self, fields, x0, training=None):
        guide = self.flattened(fields)
        each = tf.unstack(fields, self.n_fields, axis=-2)
        normed = tf.concat([norm(one) for norm, one in zip(self.norms, each, strict=True)], -1)
        if self.options["structure"] == "serial":
            for block in self.mask_blocks:
                normed = block([guide, normed], training=training)
            return tf.cast(normed, tf.float32)
        found = [block([guide, normed], training=training) for block in self.mask_blocks]
        return tf.cast(self.deep(tf.concat(found, -1), training=training), tf.float32)

    def get_config(self):
        return super().get_config() | self.options
