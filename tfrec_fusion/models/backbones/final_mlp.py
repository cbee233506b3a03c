"""FinalMLP: two gated networks and their bilinear product."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.layers import MLP, BilinearAggregation
from tfrec_fusion.layers.checks import checked_units
from tfrec_fusion.models.backbones.backbone import Backbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class FinalMLP(Backbone):
    """FinalMLP: two networks on gated features, aggregated by a bilinear product.

    `o_k = MLP_k(x_0 * 2 sigmoid(g_k(c_k)))` with gates `g_k` computed from a field `c_k`; the logit
    is linear in `o_1`, `o_2` and the products `o_1h' W_h o_2h` of the heads h (Mao et al., AAAI
    2023).

    Args:
      hidden: units of the layers of each network, with ReLU.
      heads: number of heads of the product, a divisor of `hidden[-1]`.
      gates: names of the two fields that the gates read, see `Backbone`; [] for no gates.
      gate_hidden: units of the hidden layers of a gate.
      dropout: dropout rate in [0, 1) of the two networks.

    Input: a dict of "x0" and "fields"; x_0 itself without gates.
    Output: `[B, N, 2 * hidden[-1] + heads]` float32.

    Example:
      >>> fields = {"item": tf.ones([1, 2, 4]), "user": tf.ones([1, 1, 4])}
      >>> FinalMLP(hidden=[6], heads=2)({"x0": tf.ones([1, 2, 8]), "fields": fields}).shape
      TensorShape([1, 2, 14])
    """

    def __init__(
        self,
        hidden: Sequence[int] = (128, 64),
        heads: int = 4,
        gates: Sequence[str] = ("user", "item"),
        gate_hidden: Sequence[int] = (64,),
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        hidden = checked_units(hidden, least=1)
        self.aggregation = BilinearAggregation(heads, name="product", dtype=self.dtype_policy)
        if hidden[-1] % heads:
            raise ValueError(f"heads must divide {hidden[-1]} units. Received: {heads}")
        if isinstance(gates, str) or len(gates) not in (0, 2):
            raise ValueError(f"gates must name two fields or none. Received: {gates!r}")
        self.options = {
            "hidden": hidden,
            "heads": heads,
            "gates": list(gates),
            "gate_hidden": checked_units(gate_hidden, "gate_hidden"),
            "dropout": dropout,
        }
        self.reads = ("x0", "fields") if gates else ("x0",)
        self.networks = [
            MLP(hidden, dropout=dropout, name=f"network_{index}", dtype=self.dtype_policy)
            for index in range(2)
        ]

    def check(self, dim, fields):
        unknown = [name for name in self.options["gates"] if name not in fields]
        if unknown:
            raise InputError(
                f"Ranker: backbone_options: gates must be two of {', '.join(fields)}. "
                f"Received: {unknown[0]!r}"
            )

    def build(self, input_shape):
        policy, gates = {"dtype": self.dtype_policy}, self.options["gates"]
        if gates:
            width = input_shape["x0"][-1]
            self.gate_networks = [
                MLP(self.options["gate_hidden"], name=f"gate_network_{index}", **policy)
                for index in range(2)
            ]
            self.gate_layers = [
                keras.layers.Dense(width, "sigmoid", name=f"gate_{index}", **policy)
                for index in range(2)
            ]
        super().build(input_shape)

    def call(self, inputs, training=None):
        streams = [inputs, inputs]
        if self.options["gates"]:
            x0, fields = inputs["x0"], inputs["fields"]
            gates = zip(self.options["gates"], self.gate_networks, self.gate_layers, strict=True)
            # The gate of a field that all items share is computed once a user.
            streams = [x0 * 2 * layer(network(fields[name])) for name, network, layer in gates]
        pairs = zip(self.networks, streams, strict=True)
        outputs = [network(stream, training=training) for network, stream in pairs]
        parts = [*outputs, self.aggregation(outputs)]
        return tf.concat([tf.cast(part, tf.float32) for part in parts], -1)

    def get_config(self):
        return super().get_config() | self.options
