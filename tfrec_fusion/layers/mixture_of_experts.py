"""Mixture of expert networks with one or more gates."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import check_count, checked_units
from tfrec_fusion.layers.mlp import MLP


@keras.utils.register_keras_serializable("tfrec_fusion")
class MixtureOfExperts(keras.layers.Layer):
    """Mixes expert networks, once a gate: output k is `sum_e softmax(G_k x)_e f_e(x)`.

    With one gate it is a mixture of experts (Jacobs et al. 1991), with a gate for each task the
    multi-gate one (Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", KDD 2018).

    Args:
      experts: number of experts.
      hidden: units of an expert's layers, with ReLU.
      gates: number of gates.
      gate_hidden: units of hidden layers of a gate; none as in the paper.
      dropout: rate in the experts.

    Input: `[..., width]` float.
    Output: `[..., gates, hidden[-1]]`.

    Raises:
      ValueError: counts below 1, or no hidden layer.

    Example:
      >>> MixtureOfExperts(3, [8, 4], gates=2)(tf.ones([5, 6])).shape
      TensorShape([5, 2, 4])
    """

    def __init__(
        self,
        experts: int = 4,
        hidden: Sequence[int] = (128, 64),
        gates: int = 1,
        gate_hidden: Sequence[int] = (),
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_count("experts", experts)
        check_count("gates", gates)
        self.options = {
            "experts": experts,
            "hidden": checked_units(hidden, least=1),
            "gates": gates,
            "gate_hidden": checked_units(gate_hidden, "gate_hidden"),
            "dropout": dropout,
        }
        policy = {"dtype": self.dtype_policy}
        self.experts = [
            MLP(hidden, dropout=dropout, name=f"expert_{index}", **policy)
            for index in range(experts)
        ]
        self.gate_networks = [
            MLP(gate_hidden, name=f"gate_network_{index}", **policy) for index in range(gates)
        ]
        self.gates = [
            keras.layers.Dense(experts, use_bias=False, name=f"gate_{index}", **policy)
            for index in range(gates)
        ]

    def call(self, values, training=None):
        outputs = tf.stack([expert(values, training=training) for expert in self.experts], -2)
        shares = tf.stack(
            [
                gate(network(values, training=training))
                for network, gate in zip(self.gate_networks, self.gates, strict=True)
            ],
            -2,
        )
        shares = tf.cast(tf.nn.softmax(tf.cast(shares, tf.float32)), outputs.dtype)
        return tf.matmul(shares, outputs)

    def get_config(self):
        return super().get_config() | self.options
