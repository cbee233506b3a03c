"""BST: a transformer over the history and the items."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.layers import MLP, BehaviorBlock, BehaviorPositions
from tfrec_fusion.layers.checks import check_count, check_rate, checked_units
from tfrec_fusion.models.backbones.backbone import Backbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class BST(Backbone):
    """BST: a network on x_0 and on each item's place in a transformer over the history.

    A place is `[v, p]`: the item's or event's fused vector v and a trained vector p of its
    position, which is the time between the event and the request, or the number of events after it
    (Chen et al., DLP-KDD 2019; `BehaviorBlock`). The paper concatenates the outputs of a fixed
    number of places; here the item's place alone goes on, which has read all others, so histories
    may have any length and are encoded once for all items of a row.

    Args:
      blocks: number of transformer blocks.
      heads: number of attention heads, a divisor of the width of a place.
      positions: "time", "order", or None for no position.
      position_units: columns of p.
      max_len: events further back share one position of "order".
      hidden: units of the layers of the network, with ReLU.
      dropout: dropout rate in [0, 1) of blocks and layers.

    Input: a dict of "x0", "fields" and "history", see `Backbone`.
    Output: `[B, N, hidden[-1]]` float32.

    Example:
      >>> past = {"vectors": tf.ones([1, 5, 4]), "ages": tf.ones([1, 5])}
      >>> past["present"] = tf.ones([1, 5]) > 0
      >>> given = {"x0": tf.ones([1, 2, 8]), "fields": {"item": tf.ones([1, 2, 4])}}
      >>> BST(hidden=[3])(given | {"history": past}).shape
      TensorShape([1, 2, 3])
    """

    reads = ("x0", "fields", "history")

    def __init__(
        self,
        blocks: int = 1,
        heads: int = 2,
        positions: str | None = "time",
        position_units: int = 8,
        max_len: int = 64,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.0,
        **kwargs,
    ):
        # Ages stay float32 under any policy.
        super().__init__(**({"autocast": False} | kwargs))
        for name, value in (("blocks", blocks), ("heads", heads)):
            check_count(name, value)
        check_rate(dropout)
        self.options = {
            "blocks": blocks,
            "heads": heads,
            "positions": positions,
            "position_units": position_units,
            "max_len": max_len,
            "hidden": checked_units(hidden),
            "dropout": dropout,
        }
        policy = {"dtype": self.dtype_policy}
        self.deep = MLP(hidden, dropout=dropout, name="deep", **policy)
        self.positions = None
        if positions is not None:
            self.positions = BehaviorPositions(
                position_units, positions, max_len, name="positions", **policy
            )

    def check(self, dim, fields):
        width = dim + (self.options["position_units"] if self.positions else 0)
        if width % self.options["heads"]:
            raise InputError(
                "Ranker: backbone_options: heads must divide dim + position_units, "
                f"{width}. Received: {self.options['heads']}"
            )

    def build(self, input_shape):
        options = self.options
        width = input_shape["fields"]["item"][-1]
        if self.positions is not None:
            width += options["position_units"]
        self.blocks = [
            BehaviorBlock(
                width,
                options["heads"],
                options["dropout"],
                name=f"block_{index}",
                dtype=self.dtype_policy,
            )
            for index in range(options["blocks"])
        ]
        super().build(input_shape)

    def call(self, inputs, training=None):
        items, past = inputs["fields"]["item"], inputs["history"]
        events, present = past["vectors"], past["present"]
        if self.positions is not None:
            items, events = self.positions(items, events, present, past["ages"])
        for block in self.blocks:
            items, events = block(items, events, present, training=training)
        features = tf.concat([tf.cast(inputs["x0"], items.dtype), items], -1)
        return tf.cast(self.deep(features, training=training), tf.float32)

    def get_config(self):
        return super().get_config() | self.options
